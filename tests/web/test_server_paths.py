"""Paths of model servers: their plain form, and which of them need `admin`."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.errors import InvalidRequestError
from parkmeter.web.routes import EVERY_PATH
from parkmeter.web.server_paths import ENGINE_CONTROL, SHOWN, needs_admin, plain_path

PAGE = Path(__file__).parents[2] / "docs" / "http.md"


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        (b"/v1/models", "/v1/models"),
        (b"/", "/"),
        (b"/Pause/", "/pause"),
        (b"//pause", "/pause"),
        (b"/%70ause", "/pause"),
        (b"/%2570ause", "/pause"),
        (b"/v1%2fload_lora_adapter", "/v1/load_lora_adapter"),
        (b"/v1%5Cload_lora_adapter", "/v1/load_lora_adapter"),
        (b"/pause;x=1", "/pause"),
        (b"/pause%3fx", "/pause"),
        (b"/pause%23x", "/pause"),
        (b"/a%2Fb//c;d=%zz", "/a/b/c"),
        (b"/...//..x/.hidden", "/.../..x/.hidden"),
        (b"/org%2Fmodel%20one", "/org/model one"),
    ],
)
def test_a_path_is_read_as_the_most_lenient_server_reads_it(path, plain):
    assert plain_path(path) == plain


@pytest.mark.parametrize(
    "path",
    [
        b"/..",
        b"/../x",
        b"/a/./b",
        b"/%2e%2E/x",
        b"/a/.%2e",
        b"/..%2fx",
        b"/x%2f..%2fpause",
        b"/x%5c..%5cpause",
        b"/x\\..\\pause",
        b"/..;/pause",
        b"/v1/x%3f/../../pause",
        b"/v1/x%23/../../pause",
        b"/v1/x%253f%2f..%2f..%2fpause",
        b"/v1/..%3f/pause",
        b"/%252e%252e/pause",
        b"/pause%00",
        b"/pa%0ause",
        b"/pause#x",
        b"/%252525252570ause",
    ],
)
def test_a_path_that_servers_read_differently_is_refused(path):
    with pytest.raises(InvalidRequestError):
        plain_path(path)


ALL = sorted({path for paths in ENGINE_CONTROL.values() for path in paths})


@pytest.mark.parametrize("path", ALL)
def test_engine_control_needs_admin(path):
    assert needs_admin(EVERY_PATH, "POST", path.replace("*", "x"))
    assert needs_admin(EVERY_PATH, "GET", path.replace("*", "x")) == (path not in SHOWN)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1/chat/completions",
        "/v1/models",
        "/generate",
        "/tokenize",
        "/health",
        "/metrics",
        "/slots",
        "/api/chat",
        "/api/generate",
        "/api/tags",
        "/v2/models/x/infer",
        "/pauses",
        "/x/pause",
    ],
)
def test_everything_else_is_open_by_default(path):
    assert not needs_admin(EVERY_PATH, "POST", path)


@pytest.mark.parametrize(
    ("paths", "path", "closed"),
    [
        (("/v1/*",), "/v1/chat/completions", False),
        (("/v1/*",), "/v1/load_lora_adapter", True),
        (("/v1/*",), "/v1", True),
        (("/v1/*",), "/tokenize", True),
        (("/v1/*", "/tokenize/"), "/tokenize", False),
        (("/v1/*", "/v1/load_lora_adapter"), "/v1/load_lora_adapter", False),
        (("/*", "/Sleep"), "/sleep", False),
        (("/v2/models/*/infer",), "/v2/models/a/infer", False),
        (("/v2/models/*/infer",), "/v2/models/a/b/infer", True),
        (("/a.c",), "/abc", True),
        ((), "/v1/models", True),
    ],
)
def test_an_endpoint_names_the_paths_that_are_open(paths, path, closed):
    assert needs_admin(paths, "POST", path) is closed


_WORD = st.sampled_from([path for path in ALL if "*" not in path])


@given(_WORD, st.data())
def test_no_way_of_writing_engine_control_is_open(path, data):
    """Whatever a server would decode to such a path is refused, or needs `admin`."""

    def written(letter: str) -> str:
        forms = [letter, letter.upper(), f"%{ord(letter):02x}", f"%{ord(letter):02X}"]
        forms += [f"%25{ord(letter):02x}", f"%2525{ord(letter):02x}"]
        if letter == "/":
            forms += [
                "//",
                "/./",
                "/x/../",
                "/x%3f/../",
                "/x%2523/../",
                "/%2e/",
                "/;a/",
                "\\",
                "%5c",
                "/.;b=c/",
            ]
        return data.draw(st.sampled_from(forms))

    tail = data.draw(st.sampled_from(["", "/", "//", ";", ";a=b", "%3f", "%23x", "/.", "%00", "#"]))
    raw = ("/" + "".join(map(written, path[1:])) + tail).encode()
    try:
        plain = plain_path(raw)
    except InvalidRequestError:
        return
    assert needs_admin(EVERY_PATH, "POST", plain), raw


@given(st.binary(max_size=40))
def test_every_path_has_a_plain_form_or_is_refused(path):
    try:
        plain = plain_path(b"/" + path)
    except InvalidRequestError:
        return
    assert plain.startswith("/")
    assert not {"", ".", ".."} & set(plain.split("/")[1:] if plain != "/" else [])
    assert plain == plain.lower()


def test_the_page_lists_all_engine_control():
    table = PAGE.read_text(encoding="utf-8").partition("## Engine control")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| ([\w.-]+) \| (.*) \|$", table, re.MULTILINE))
    del rows["server"]  # the heading
    listed = {server: tuple(re.findall(r"`(/[^`]+)`", cell)) for server, cell in rows.items()}
    assert listed == dict(ENGINE_CONTROL)
    shown = next(part for part in table.split("\n\n") if part.startswith("Reading"))
    assert set(re.findall(r"`(/[^`]+)`", shown)) == SHOWN
