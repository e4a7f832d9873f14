"""A simulated AWS on loopback: as much of it as parkmeter's stacks use.

The real CDK CLI deploys into it, the real Lambda packages run in it, its API answers over HTTP.

`cloud.py` is the way in, and the only module that knows all the others. `services.py` is moto over
HTTP; `stacks.py` is CloudFormation, with `template.py` for order, `resources.py` for what each kind
of resource becomes, `custom.py` for those that functions make, and `takeover.py` for its place in
moto; `functions.py` and `worker.py` are Lambda; `gateway.py` is API Gateway, with `routes.py`,
`authorizers.py`, `proxy.py` and `refusals.py`; `events.py` is EventBridge, `jobs.py` asynchronous
inference, `passing.py` its endpoints' time; `cdk.py` is the command line, `assembly.py` what it
wrote. Only `__main__`, which is `make cloud`, knows parkmeter: the names, routes and rules of the
others are those of the deployed templates.
"""
