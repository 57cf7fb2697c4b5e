"""Processes end with those that started them."""

import os
import subprocess
import sys
import time

import pytest
from joblib.externals.loky import get_reusable_executor

from limbeck.run import Run
from limbeck.run.executor import Executor
from limbeck.run.processes import PARENT
from limbeck.run.run import Options

ORPHAN = """
import time
from limbeck.run.processes import die_with_parent

die_with_parent({parent})
time.sleep(300)
"""


def ended_with(parent):
    """Exit status of a process that is told who its parent was."""
    program = ORPHAN.format(parent=parent)
    return subprocess.run([sys.executable, "-c", program], timeout=120).returncode


def test_a_process_whose_parent_died_before_it_asked_ends():
    # Whoever adopts an orphan is not the parent that it was started by.
    assert ended_with(parent=2**22 + 1) == 1


@pytest.mark.parametrize("parent", [os.getpid(), os.getppid()], ids=["parent", "behind a wrapper"])
def test_a_process_whose_parent_lives_goes_on(parent):
    program = ORPHAN.format(parent=parent)
    child = subprocess.Popen([sys.executable, "-c", program])
    time.sleep(2)
    assert child.poll() is None
    child.kill()
    child.wait()


def test_workers_of_a_launched_process_live_with_it_and_not_with_the_launcher(
    tmp_path, monkeypatch
):
    # Workers that are there already have another environment.
    get_reusable_executor(reuse=True).shutdown(kill_workers=True)
    monkeypatch.setenv(PARENT, "1")
    executor = Executor(Run(tmp_path, options=Options(executor="local")), 2)
    assert executor.map(abs, [(-1,), (-2,)]) == [1, 2]
