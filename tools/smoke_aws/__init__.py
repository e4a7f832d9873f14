"""`make smoke-aws`: deploys to a real AWS account, tries everything once, reports, removes all.

Knows AWS's APIs and the stacks; nothing of the simulated cloud, in which it runs unchanged.
"""
