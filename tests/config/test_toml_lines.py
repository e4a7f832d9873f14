"""On which line of a TOML text a key stands, whatever way it is written."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkmeter.config.toml_lines import Lines

TEXT = """# a comment with [brackets] and key = 1
top = 1

[gateway] # the gateway
port = 8080
"quoted.key" = 1
'single quoted' = 2

[ endpoints . "dotted.name" ]
command = [
  "x",  # ] no end
  "[gateway]",
]
motto = \"\"\"
[endpoints.no]
port = 1
\"\"\"
after = 1
health . timeout = 5
environment = { A = "1", B.C = "2" }
[[listed]]
one = 1
[[listed]]
two = 2
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["top"], 2),
        (["gateway"], 4),
        (["gateway", "port"], 5),
        (["gateway", "quoted.key"], 6),
        (["gateway", "single quoted"], 7),
        (["endpoints"], 9),
        (["endpoints", "dotted.name"], 9),
        (["endpoints", "dotted.name", "command"], 10),
        (["endpoints", "dotted.name", "command", "1"], 10),
        (["endpoints", "dotted.name", "motto"], 14),
        (["endpoints", "no"], 9),
        (["endpoints", "dotted.name", "after"], 18),
        (["endpoints", "dotted.name", "health", "timeout"], 19),
        (["endpoints", "dotted.name", "environment", "B", "C"], 20),
        (["endpoints", "dotted.name", "missing"], 9),
        (["listed", "two"], 24),
        (["nowhere"], None),
        ([], None),
    ],
)
def test_a_key_stands_where_a_reader_finds_it(path, line):
    tomllib.loads(TEXT)
    assert Lines(TEXT).of(path) == line
    assert Lines(TEXT.replace("\n", "\r\n")).of(path) == line


@given(
    before=st.lists(
        st.sampled_from(
            ["# [a]", "", "x{} = 'a # b'", "x{} = [\n1,\n2\n]", 'x{} = """\n[b]\nk = 1"""']
        )
    )
)
def test_whatever_stands_before_a_key_does_not_hide_it(before):
    head = "\n".join(text.format(number) for number, text in enumerate(before))
    text = f"{head}\nwanted = 1\n[section]\nwanted = 2"
    tomllib.loads(text)
    lines = text.split("\n")
    assert Lines(text).of(["wanted"]) == lines.index("wanted = 1") + 1
    assert Lines(text).of(["section", "wanted"]) == len(lines)
