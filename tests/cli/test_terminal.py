"""In a terminal of 80 columns, without colour, and behind Tab."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios

import pytest

from limbeck.cli import layout

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
QUICK = (
    ("--help",),
    ("run", "--help"),
    ("list",),
    ("list", "--losses"),
    ("show", "kd"),
    ("runs", "nothing"),
    ("evaluate", "a-folder-that-does-not-exist"),
)


def in_terminal(*words, cwd, **environment):
    """What a command writes to a terminal of 80 columns, and what it writes on."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
    plain = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "NO_COLOR")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "limbeck", *words],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd,
        env={**plain, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 65536):
            said += part
    except OSError:  # how Linux tells that the other side is closed
        pass
    finally:
        process.wait(timeout=60)
        os.close(ours)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("words", QUICK, ids=" ".join)
def test_no_line_is_wider_than_the_terminal(words, tmp_path):
    said = ESCAPE.sub("", in_terminal(*words, cwd=tmp_path))
    assert said.strip()
    assert max(map(len, said.split("\n"))) <= 80


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"NO_COLOR": "1"}])
def test_colour_is_left_out_where_it_is_not_wanted(environment, tmp_path):
    said = in_terminal("--help", cwd=tmp_path, **environment)
    codes = {code for found in re.findall(r"\x1b\[([0-9;]*)m", said) for code in found.split(";")}
    # Bold, faint and their end are no colours.
    assert codes <= {"", "0", "1", "2"}
    if environment == {"TERM": "dumb"}:
        assert not ESCAPE.search(said)


def test_tables_and_words_have_no_escape_codes(tmp_path):
    assert not ESCAPE.search(in_terminal("show", "kd", cwd=tmp_path))


ROWS = [["kd", "92.0 ±0.8", "0.275 ±0.020", "1,066"], ["teacher `cnn?width=16`", "98", "0.1", "5"]]
HEADS = ["", "accuracy", "nll", "parameters"]


@pytest.mark.parametrize("width", [30, 40, 50, 80])
def test_a_table_fits_and_keeps_every_figure_whole(width):
    blocks = layout.table_lines(HEADS, ROWS, width)
    lines = [line for block in blocks for line in block]
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for figure in ("92.0 ±0.8", "0.275 ±0.020", "1,066", "98"):
        assert figure in text


def test_a_table_that_fits_or_has_no_terminal_has_a_line_a_row():
    for width in (80, None):
        (block,) = layout.table_lines(HEADS, ROWS, width)
        assert len(block) == 3
    long = [["kd", "word " * 40]]
    assert len(layout.table_lines(["a", "b"], long, None)[0]) == 2


def test_a_path_is_never_broken():
    path = "folder/" * 20
    assert path in layout.wrapped(f"the page: {path}", 40)


def completed(*words, cwd):
    """What Bash is offered for the last word."""
    environment = {
        "_LIMBECK_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("limbeck", *words)),
        "COMP_CWORD": str(len(words)),
    }
    done = subprocess.run(
        [sys.executable, "-c", "from limbeck.cli.app import app; app(prog_name='limbeck')"],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment},
    )  # fmt: skip
    return done.stdout.split()


def test_a_shell_completes_verbs_methods_presets_and_runs(tmp_path):
    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "settings.toml").touch()
    assert completed("sho", cwd=tmp_path) == ["show"]
    assert completed("run", "meal", cwd=tmp_path) == ["meal-v2"]
    assert completed("run", "kd", "--preset", "ti", cwd=tmp_path) == ["tiny"]
    assert "paper-mnist" in completed("run", "kd", "--preset", "", cwd=tmp_path)
    assert completed("evaluate", "runs/", cwd=tmp_path) == ["runs/first"]
    assert completed("evaluate", "", cwd=tmp_path) == ["runs/", "runs/first"]
    assert completed("compare", "none,meal", cwd=tmp_path) == ["none,meal-v2"]


def test_the_script_for_a_shell_is_shown(tmp_path):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m limbeck --show-completion; true"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert "_LIMBECK_COMPLETE=complete_bash" in done.stdout


@pytest.mark.parametrize("word", ["lst", "doctr"])
def test_a_misspelt_verb_is_told_the_nearest(word, limbeck):
    said = limbeck(word)
    assert said.status == 2
    assert f"there is no verb '{word}'; did you mean" in said.err


def test_a_missing_run_is_told_the_nearest_before_libraries_are_imported(tmp_path):
    (tmp_path / "first").mkdir()
    code = (
        "import sys; sys.argv = ['limbeck', 'evaluate', 'frist']\n"
        "from limbeck.cli.speaking import failing\nfrom limbeck.cli.app import app\n"
        "status = failing(app); sys.exit(status if 'torch' not in sys.modules else 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 1
    assert "did you mean first?" in done.stderr
