"""Errors of async prompts."""

from parkmeter.errors import ParkmeterError


class AsyncNotDeployedError(ParkmeterError):
    """Raised when an endpoint's async stack is not deployed; names the stack to deploy."""

    code = "async_not_deployed"
    title = "This endpoint takes no async prompts yet"
    text = (
        "The async stack of this endpoint is not deployed. Run `cdk deploy {stack}`, then send "
        "this request again."
    )

    def __init__(self, stack: str) -> None:
        super().__init__(stack=stack)


class UnknownPromptError(ParkmeterError):
    """Raised when no async prompt has this id, or it has expired."""

    code = "unknown_prompt"
    title = "No such prompt"
    text = (
        "There is no async prompt with this id. Prompts and results expire some days after they "
        "were sent."
    )


class KeyBusyError(ParkmeterError):
    """Raised when the first request with an idempotency key has not been answered yet."""

    code = "key_busy"
    title = "The first request with this key is under way"
    text = (
        "Another request with this Idempotency-Key is being worked on, or broke off a moment ago. "
        "Send this one again a little later; it is done once."
    )

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after


class ModelFailedError(ParkmeterError):
    """Raised when a model answered a prompt with an error whose status is no longer known.

    `said`: the model's words, as far as they may be passed on.
    """

    code = "model_failed"
    title = "The model failed"
    text = "The model answered this prompt with an error."

    def __init__(self, said: str) -> None:
        super().__init__(said=said)
