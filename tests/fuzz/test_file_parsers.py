"""Random input for what reads files: the configuration, the leash's files, notes, logs."""

import tomllib
from pathlib import Path

import pytest

from parkmeter.client_file import NAME, ClientFile, read_client_file
from parkmeter.config.load import load_settings
from parkmeter.config.settings import Settings
from parkmeter.config.toml_lines import Lines
from parkmeter.drivers.process_logs import last_lines
from parkmeter.errors import ConfigError
from parkmeter.gateway.reload import Outcome, _read
from parkmeter.leash.files import LOG_MARK, read_json
from parkmeter.state_folder import LockHolder, StateFolder, _holder_in
from tests.support.random_input import JSON_PIECES, damaged, damaged_text

SOME_AND_MANY = pytest.mark.parametrize(
    "cases", [100, pytest.param(1_500, marks=[pytest.mark.extended, pytest.mark.timeout(900)])]
)
ROOT = Path(__file__).parents[2]
CONFIGURATIONS = [file.read_text("utf-8") for file in ROOT.glob("examples/**/*.toml")] + [
    '[gateway]\nport = 8080\n\n[endpoints.a]\nmodel = "demo"\nprice_per_hour = 1.5\n',
    '[endpoints."b"]\ncommand = ["x", "--port", "{port}"]\nhours = ["Mon-Fri 09:00-17:00 UTC"]\n',
    '[notify.webhooks.a]\nurl = "https://a.test"\nsecret = "s3cret"\nevents = ["warning"]\n',
]
TOML = damaged_text(
    CONFIGURATIONS,
    [
        *("[", "]", "[[", "]]", "=", ".", ",", "{", "}", '"', "'", '"""', "'''", "\n", "\r", "#"),
        *(
            "endpoints",
            "gateway",
            "notify",
            "model",
            "command",
            "true",
            "nan",
            "inf",
            "-1",
            "1e999",
        ),
        *("1979-05-27", "07:32:00", "0x7fffffffffffffffffff", "\u2028", "\\u0000", "env:X", "a.b"),
        *("[" * 900, "a." * 900, "9" * 5000, "hours", "device", "warn_minutes", "{port}", "\x00"),
    ],
)


@SOME_AND_MANY
def test_a_configuration_is_read_or_refused_in_words(run, tmp_path, cases):
    file = tmp_path / "parkmeter.toml"

    def check(text: str) -> None:
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            found = load_settings(config=file, environment={"HOME": str(tmp_path)})
        except ConfigError as error:
            assert str(file) in error.detail
            assert "s3cret" not in error.detail
        else:
            assert isinstance(found, Settings)
            assert found.endpoints

    run("configurations", check, TOML, cases)


@SOME_AND_MANY
def test_the_lines_of_any_toml_are_found(run, cases):
    def check(text: str) -> None:
        try:
            document = tomllib.loads(text)
        except (tomllib.TOMLDecodeError, RecursionError):
            return
        lines = Lines(text)
        for key in document:
            assert 1 <= lines.of((key,)) <= text.count("\n") + 1

    run("configurations", check, TOML, cases)


FILES = damaged(
    [
        b'{"version": 3, "until": 1700000000.5}',
        b'{"run": "a1", "state": "running", "pid": 12, "port": 8000, "why": ""}',
        b'{"url": "http://127.0.0.1:8080", "token": "t", "process": 12, "config": "/a/b"}',
        b'{"applied": true, "lines": ["a"], "code": null, "began": 1.5}',
    ],
    [*JSON_PIECES, b'"url"', b'"process"', b'"config"', b'"lines"', b'"began"', b"1e400"],
)


@SOME_AND_MANY
def test_a_file_of_the_leash_is_an_object_or_nothing(run, tmp_path, cases):
    file = tmp_path / "a.deadline"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        assert isinstance(read_json(str(file)), dict | None)

    run("state files", check, FILES, cases)


@SOME_AND_MANY
def test_a_client_file_is_one_or_nothing(run, tmp_path, cases):
    def check(content: bytes) -> None:
        (tmp_path / NAME).write_bytes(content)
        assert isinstance(read_client_file(tmp_path), ClientFile | None)

    run("state files", check, FILES, cases)


@SOME_AND_MANY
def test_the_note_in_a_lock_names_a_gateway_or_nothing(run, tmp_path, cases):
    file = tmp_path / "gateway.lock"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        with file.open("rb") as handle:
            assert isinstance(_holder_in(handle.fileno()), LockHolder | None)

    run("state files", check, FILES, cases)


@SOME_AND_MANY
def test_the_answer_to_a_reload_is_one_or_nothing(run, tmp_path, cases):
    folder = StateFolder(tmp_path)

    def check(content: bytes) -> None:
        folder.reload_file.write_bytes(content)
        found = _read(folder)
        assert isinstance(found, Outcome | None)
        assert found is None or found.began >= 0 or found.began < 0

    run("state files", check, FILES, cases)


LOGS = damaged(
    [
        b"loading\n" * 3 + LOG_MARK.encode() + b"a1\nTraceback:\n  error: no memory\n",
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07 10%\r 20%\r100%\nlast",
    ],
    [
        b"\x1b",
        b"\x1b[",
        b"\x1b]",
        b"\x07",
        b"\r",
        b"\n",
        b"\x00",
        b"\xff",
        b"\x9b",
        b"\xe2\x80\xae",
    ],
)


@SOME_AND_MANY
def test_what_is_quoted_of_a_log_can_be_shown(run, tmp_path, cases):
    file = tmp_path / "a.log"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        quoted = last_lines(str(file))
        assert quoted.isprintable()
        assert len(quoted) <= 500

    run("logs", check, LOGS, cases)
