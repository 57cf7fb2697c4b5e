"""Progress is plain lines without a terminal, now and then, on standard error."""

import json

import pytest

from limbeck.run import progress as room
from limbeck.run.environment import environment
from limbeck.run.progress import progress


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(room.time, "monotonic", lambda: now[0])
    return now


def test_a_long_task_says_a_line_now_and_then(clock, capsys):
    with progress("student", 40, start=10) as shown:
        for _ in range(30):
            clock[0] += 3
            shown.advance(1, "loss 0.5")
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0] == "student: 14/40 loss 0.5"
    assert 5 <= len(lines) <= 9


def test_a_short_or_quiet_task_says_nothing(clock, capsys):
    with progress("student", 10) as shown:
        for _ in range(10):
            shown.advance()
    with progress("student", 10, quiet=True) as shown:
        for _ in range(10):
            clock[0] += 60
            shown.advance(1, "loss 0.5")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_that_ends_at_its_total(monkeypatch, capsys):
    class Terminal:
        def __init__(self, stream):
            self.stream = stream

        def isatty(self):
            return True

        def __getattr__(self, name):
            return getattr(self.stream, name)

    import sys

    monkeypatch.setattr(sys, "stderr", Terminal(sys.stderr))
    with progress("student", 20, start=5) as shown:
        shown.advance(10)
        shown.advance(5, "loss 0.5")
        (task,) = shown._bar.tasks
        assert (task.completed, task.total) == (20, 20)
        assert task.description == "student loss 0.5"


def test_the_environment_names_versions_and_no_machine():
    import getpass
    import platform

    text = environment()
    facts = json.loads(text)
    assert set(facts) == {"python", "system", "machine", "cores", "versions"}
    assert {"torch", "numpy"} <= set(facts["versions"])
    assert platform.node() not in text
    assert f'"{getpass.getuser()}"' not in text
