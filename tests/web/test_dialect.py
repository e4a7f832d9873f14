import pytest

from parkmeter.web.dialect import Dialect, dialect_at, dialect_of


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/v1/messages", Dialect.ANTHROPIC),
        (b"/v1/messages/", Dialect.ANTHROPIC),
        (b"/v1/messages?a=b", Dialect.ANTHROPIC),
        (b"/v1/messages/count_tokens", Dialect.ANTHROPIC),
        (b"/v1/messages/batches/msgbatch_1", Dialect.ANTHROPIC),
        (b"/v1/messagesx", Dialect.OPENAI),
        (b"/v1/chat/completions", Dialect.OPENAI),
        (b"/v1/models", Dialect.OPENAI),
        (b"/v1/", Dialect.OPENAI),
        (b"/v1", Dialect.PLAIN),
        (b"/invocations", Dialect.PLAIN),
        (b"/", Dialect.PLAIN),
        (b"", Dialect.PLAIN),
    ],
)
def test_the_path_at_the_model_server_shows_whose_client_asks(path, dialect):
    assert dialect_of(path) is dialect
    assert dialect_at(b"/qwen" + path) is dialect
    if path.startswith(b"/v1/"):
        assert dialect_at(path) is dialect


@pytest.mark.parametrize("path", [b"/flan", b"/", b"", b"/endpoints/qwen/v1", b"v1/messages"])
def test_all_other_paths_of_the_gateway_are_plain(path):
    assert dialect_at(path) is Dialect.PLAIN
