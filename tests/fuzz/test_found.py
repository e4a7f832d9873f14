"""Defects that random input found, or a reader on its way there: each under its own name."""

import pytest

from parkmeter.aws.api_events import guess_content_type
from parkmeter.cli.prompts import _model_failed, _texts
from parkmeter.client.calls import made
from parkmeter.client.connections import Response
from parkmeter.client.errors import ParkmeterProblem
from parkmeter.client.models import Endpoint
from parkmeter.client.prompts import Event, Reply
from parkmeter.client_file import NAME, read_client_file
from parkmeter.config.load import load_settings
from parkmeter.errors import ConfigError
from parkmeter.gateway.reload import _read
from parkmeter.leash.files import read_json
from parkmeter.state_folder import StateFolder, _holder_in

DEEP = b"[" * 15_000


@pytest.mark.parametrize(
    "note", [b"[]", b'{"url": "x", "process": Infinity}', DEEP], ids=["list", "infinity", "deep"]
)
def test_a_lock_file_with_another_content_names_no_gateway(tmp_path, note):
    file = tmp_path / "gateway.lock"
    file.write_bytes(note)
    with file.open("rb") as handle:
        assert _holder_in(handle.fileno()) is None


@pytest.mark.parametrize(
    "answer",
    [b"{}", b'{"lines": [], "applied": true, "began": "x"}', b'{"lines": [1]}', DEEP],
    ids=["empty", "text", "number", "deep"],
)
def test_a_reload_file_with_another_content_is_no_answer(tmp_path, answer):
    folder = StateFolder(tmp_path)
    folder.reload_file.write_bytes(answer)
    assert _read(folder) is None


def test_state_files_nested_too_deep_are_unreadable_and_not_an_error(tmp_path):
    (tmp_path / NAME).write_bytes(DEEP)
    assert read_client_file(tmp_path) is None
    assert read_json(str(tmp_path / NAME)) is None


def test_a_configuration_nested_too_deep_is_refused_in_words(tmp_path):
    file = tmp_path / "parkmeter.toml"
    file.write_text("a = " + "[" * 5_000)
    with pytest.raises(ConfigError, match="nested"):
        load_settings(config=file, environment={"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a", "status": "x", "reason": "", "api_resource": "a", "seconds_left": 1e999}',
        b'{"name": "a", "status": "x", "reason": "", "seconds_left": 1, "price_per_hour": "much"}',
        DEEP,
    ],
    ids=["endless", "no number", "deep"],
)
def test_an_answer_that_cannot_be_read_is_no_gateway_s(body):
    with pytest.raises(ParkmeterProblem) as refused:
        made(Endpoint.of, Response(200, {}, "http://gateway.test/endpoints/a", [body]))
    assert refused.value.code == "unexpected_answer"


def test_a_model_s_answer_nested_too_deep_is_not_json_and_is_printed_as_it_is():
    text = DEEP.decode()
    with pytest.raises(ValueError, match="nested"):
        Event("message", text).json()
    with pytest.raises(ValueError, match="nested"):
        Reply(DEEP, "application/json", None, None).json()
    assert list(_texts(iter([Event("message", text, whole=True)]))) == [text]
    assert list(_texts(iter([Event("message", text)]))) == []
    with pytest.raises(SystemExit):
        _model_failed(text)


def test_a_prompt_nested_too_deep_has_a_content_type_too():
    assert guess_content_type(DEEP.decode()) == "text/plain; charset=utf-8"


def test_half_a_surrogate_pair_of_a_model_can_be_printed():
    events = [
        Event("message", '{"text": "a\\ud800"}'),
        Event("message", '{"text": "\\ud83d\\ude00"}'),
    ]
    assert "".join(_texts(iter(events))).encode() == "a?😀".encode()
