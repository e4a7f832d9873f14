"""AWS on loopback, as much of it as parkmeter's stacks use: the real CDK CLI deploys into it, the
real Lambda packages run in it, its API answers over HTTP.

`cloud.py` is the way in, and the only module that knows all the others. `services.py` is moto over
HTTP; `stacks.py` is CloudFormation, with `template.py` for order and `resources.py` for what each
kind of resource becomes; `functions.py` and `worker.py` are Lambda; `gateway.py` is API Gateway;
`events.py` EventBridge; `jobs.py` asynchronous inference; `cdk.py` the command line.
Nothing here knows parkmeter: names, routes and rules are those of the deployed templates.
"""
