"""The queue of SageMaker asynchronous inference: routes, prompts, and results in S3."""
