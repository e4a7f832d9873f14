"""The gate on the language of docstrings, comments, messages and pages."""

import pytest

from tools.language import OPENINGS, WORDS, Gate, main

CLEAN = '"""A module."""\n\n\ndef f():\n    """Return one."""\n    return 1  # the first\n'


@pytest.fixture
def tree(tmp_path):
    """A function that writes files into an otherwise clean tree and returns its root."""

    def write(**files):
        for name, text in {"src/clean.py": CLEAN, "README.md": "# Plain\n", **files}.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def _places(root):
    return [place for measure in Gate(root).measures for place in measure.places]


def test_a_clean_tree_passes(tree, capsys):
    assert main(tree()) == 0
    assert "0 of      2" in capsys.readouterr().out


@pytest.mark.parametrize("word", OPENINGS)
@pytest.mark.parametrize("what", ["def f", "async def f", "class F"])
def test_a_summary_that_opens_with_a_question_word_is_found(tree, word, what):
    text = f'{what}():\n    """{word.capitalize()} it is."""\n'
    assert _places(tree(**{"app.py": text})) == [f"app.py:2: {word.capitalize()} it is."]


def test_a_module_is_documented_too(tree):
    assert _places(tree(**{"app.py": '"""\n"Who" asks."""\n'})) == ['app.py:1: "Who" asks.']


@pytest.mark.parametrize("summary", ["Whatever it is.", "Return what it is.", "Whose it is."])
def test_other_summaries_are_not(tree, summary):
    assert not _places(tree(**{"app.py": f'"""{summary}"""\n'}))


@pytest.mark.parametrize("word", WORDS)
def test_a_listed_word_is_found_in_a_docstring_at_its_line(tree, word):
    text = f'"""A module.\n\nIt is {word.upper()} here.\n"""\n'
    assert _places(tree(**{"tests/a.py": text})) == [f"tests/a.py:3: It is {word.upper()} here."]


def test_words_broken_over_two_lines_are_found(tree):
    assert _places(tree(**{"app.py": '"""A module of so\nmany."""\n'})) == [
        "app.py:1: A module of so"
    ]


@pytest.mark.parametrize("word", ["nobodyelse", "untold", "so, many"])
def test_a_part_of_a_word_is_no_listed_word(tree, word):
    assert not _places(tree(**{"app.py": f'"""A {word}."""\n'}))


def test_comments_and_notes_below_a_name_are_searched(tree):
    text = 'a = 1  # told\nb = 2\n"""Somebody wants it."""\n'
    assert _places(tree(**{"tools/a.py": text})) == [
        "tools/a.py:1: # told",
        "tools/a.py:3: Somebody wants it.",
    ]


def test_messages_of_the_product_are_searched_and_keys_are_not(tree):
    text = 'a = f"{b} was told"\nc = {"told": 1}\n'
    places = _places(tree(**{"stacks/a.py": text, "tests/a.py": text, "benchmarks/a.py": text}))
    assert places == ["stacks/a.py:1: was told"]


def test_pages_are_searched_outside_of_code(tree):
    text = "# Docs\n\nPlain `told` text\n\n```\nnobody\n```\n\nThis is told.\n"
    assert _places(tree(**{"docs/deep/a.md": text})) == ["docs/deep/a.md:9: This is told."]


def test_text_of_the_dashboard_is_searched_and_what_others_wrote_is_not(tree):
    text = "// plain\nshow(`Nobody asks`);\n"
    places = _places(tree(**{"src/web/a.js": text, "src/web/vendor/b.js": text}))
    assert places == ["src/web/a.js:2: show(`Nobody asks`);"]


def test_hidden_and_generated_folders_are_left_out(tree):
    files = {f"{folder}/a.py": '"""Told."""\n' for folder in (".venv", "build", "docs/dist")}
    assert not _places(tree(**files))


def test_a_share_within_the_limit_passes_without_its_places(tree, capsys):
    functions = "".join(f'\n\ndef f{n}():\n    """Return {n}."""\n' for n in range(50))
    root = tree(**{"app.py": functions, "src/a.py": '"""What it is."""\n'})
    assert main(root) == 0
    assert "What it is" not in capsys.readouterr().out


def test_a_share_over_the_limit_fails_with_its_places(tree, capsys):
    assert main(tree(**{"src/a.py": '"""What it is."""\n'})) == 1
    assert "src/a.py:1: What it is." in capsys.readouterr().out


def test_a_single_listed_word_in_a_page_fails(tree, capsys):
    assert main(tree(**{"README.md": "Plain.\n\n" * 500 + "It is done anew.\n"})) == 1
    assert "README.md:1001: It is done anew." in capsys.readouterr().out
