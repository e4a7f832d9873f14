"""The embedded model server: T5 and Flan-T5 over HTTP, on the CPU, without torch.

Run it with ``python -m parkmeter.model_server --model demo --port 8081``. It implements SageMaker's
container contract with JumpStart's Flan-T5 payload. It imports nothing else of parkmeter: it is a
process of its own.
"""
