"""No block of a page passes by the tests of blocks, and shells read what a page shows."""

import re

import pytest

from .test_blocks import PAGES, ROOT, name_of

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Anything that Markdown takes for the edge of a block, in a quotation or a list, too.
EDGE = re.compile(r"^[ \t>*+-]*(?:```|~~~).*$", re.MULTILINE)
LANGUAGES = ("python", "bash", "console", "json", "")
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")


def misfits(text):
    """Edges of blocks that open in a way which the tests of blocks do not look for."""
    edges = EDGE.findall(text)
    opening, closing = edges[::2], edges[1::2]
    known = {f"```{language}" for language in LANGUAGES}
    wrong = [edge for edge in opening if edge not in known]
    wrong += [edge for edge in closing if edge != "```"]
    return wrong + (edges[-1:] if len(opening) != len(closing) else [])


def unquoted(text):
    """Lines of shell blocks with a question mark that zsh would take for a pattern."""
    return [
        line
        for language, code in BLOCK.findall(text)
        if language in ("bash", "console", "")
        for line in QUOTED.sub("", code).splitlines()
        if "?" in line
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_are_of_known_languages_and_begin_at_the_margin(page):
    assert not misfits(page.read_text())


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("```sh\nls\n```\n", ["```sh"]),
        ("- so:\n\n  ```bash\n  ls\n  ```\n", ["  ```bash", "  ```"]),
        ("- ```bash\n  ls\n  ```\n", ["- ```bash", "  ```"]),
        ("~~~bash\nls\n~~~\n", ["~~~bash", "~~~"]),
        ("``` python\n1\n```\n", ["``` python"]),
        ("````bash\nls\n````\n", ["````bash", "````"]),
        ("```bash\nls\n```\n```json\n", ["```json"]),
        ("```bash\nls\n```\n\n```\nout\n```\nand `code`\n", []),
    ],
)
def test_other_blocks_are_noticed(text, wrong):
    assert misfits(text) == wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_question_marks_of_shell_blocks_are_quoted(page):
    assert not unquoted(page.read_text())


@pytest.mark.parametrize("path", sorted(ROOT.glob("src/limbeck/cli/*.py")), ids=lambda p: p.stem)
def test_question_marks_of_examples_in_help_are_quoted(path):
    examples = re.findall(r"^ +(limbeck .*)$", path.read_text(), re.MULTILINE)
    assert not [line for line in examples if "?" in QUOTED.sub("", line)]


def test_an_unquoted_question_mark_is_noticed():
    page = "```console\n$ limbeck run kd --data 'a?b' \\\n  --student cnn?width=4\n```\n"
    assert unquoted(page) == ["  --student cnn?width=4"]
    assert unquoted("```python\nbuild('a') if b else c?\n```\nwhy?\n") == []
