"""A strict SageMaker on loopback: control plane and runtime for the calls that parkmeter makes.

`simulator.py` is the way in. Below it: `control.py` and `runtime.py` speak the two protocols,
`shapes.py` holds both to botocore's service model, `account.py` has the rules, `endpoint.py` the
life of one endpoint, `faults.py` what goes wrong on purpose, `containers.py` what answers behind
an endpoint. It knows nothing of parkmeter.
"""
