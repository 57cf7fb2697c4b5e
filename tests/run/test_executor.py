"""Jobs give the same results one after another and in processes of their own."""

import operator
import os
import platform
import signal
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.data.names import resolve
from limbeck.errors import DataError
from limbeck.run import Run
from limbeck.run.executor import Executor
from limbeck.run.run import Options


@pytest.fixture
def executors(tmp_path):
    """One that works here and one with two processes."""
    run = Run(tmp_path, options=Options(threads=2))
    return [Executor(run, processes) for processes in (1, 2)]


def test_results_are_the_same_and_in_order(executors):
    jobs = [(keyed.key(seed), np.arange(5), 2) for seed in range(6)]
    here, there = (one.map(keyed.uniform, jobs) for one in executors)
    assert all((a == b).all() for a, b in zip(here, there, strict=True))
    assert all((a == keyed.uniform(*job)).all() for a, job in zip(here, jobs, strict=True))


def test_jobs_compute_with_the_threads_of_the_run(executors):
    before = torch.get_num_threads()
    assert [one.map(torch.get_num_threads, [()] * 3) for one in executors] == [[2] * 3] * 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("which", [0, 1])
def test_an_error_of_a_job_comes_back(executors, which):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError, match="there is no data set 'absent'"):
            executors[which].map(resolve, [("digits",), ("absent",), ("digits",)])
        with pytest.raises(ZeroDivisionError):
            executors[which].map(operator.truediv, [(1, 1), (1, 0), (1, 1)])
        assert executors[which].map(operator.add, [(1, 2), (3, 4)]) == [3, 7]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left alone")
def test_a_worker_gives_back_what_a_job_took(executors):
    """Else joblib, where psutil is there, ends workers after jobs that took much, and warns."""
    # Each takes a while, so that one worker does not answer all.
    seen = "__import__('os').getpid(), open('/proc/self/statm').read().split()[1]"
    pages = f"__import__('time').sleep(0.3) or ({seen})"
    rest = "__import__('time').sleep(1.1)"
    take = "(__import__('torch').ones(2**27).sum(), None)[1]"
    there = executors[1]
    held = []
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for code in ("__import__('torch').ones(2).sum().item()", take):
            for one in (code, rest):
                there.map(eval, [(one,)] * 4)
            held.append({process: int(count) for process, count in there.map(eval, [(pages,)] * 6)})
    assert not [one for one in told if "worker" in str(one.message)]
    same = held[0].keys() & held[1].keys()
    assert same
    assert all(held[1][one] - held[0][one] < 2**27 / os.sysconf("SC_PAGE_SIZE") for one in same)


def test_what_the_environment_says_is_where_jobs_run_unless_a_run_says_so(monkeypatch):
    assert Options().executor == "local"
    monkeypatch.setenv("LIMBECK_EXECUTOR", "")
    assert Options().executor == "local"
    monkeypatch.setenv("LIMBECK_EXECUTOR", "serial")
    assert (Options().executor, Options(executor="ray").executor) == ("serial", "ray")


def test_no_jobs_are_no_work(executors):
    assert [one.map(operator.add, []) for one in executors] == [[], []]


def test_one_job_needs_no_process(executors):
    """What cannot be sent to another process still runs."""
    assert executors[1].map(lambda x: x + 1, [(1,)]) == [2]


def test_jobs_of_a_job_share_its_process(executors, tmp_path):
    """Two processes that start two each would be four on two cores."""
    inner = Executor(Run(tmp_path), 2)
    found = executors[1].map(Executor.map, [(inner, os.getppid, [()] * 3)] * 2)
    # A job's process is our child; what it started itself would be a child of that.
    assert found == [[os.getpid()] * 3] * 2
    # We are in no job.
    assert inner.at_once(2) == 2


def test_the_cores_are_shared_out(tmp_path, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    run = Run(tmp_path)
    assert run.executor is run.executor
    assert run.executor.map(lambda x: x, [(1,), (2,)]) == [1, 2]


def test_workers_hear_of_an_interrupt(executors):
    there = executors[1]
    there.map(time.sleep, [(0,), (0,)])  # so that the workers have started
    press = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    press.start()
    # A worker that is asleep says so; unheard, it would sleep to the end and be a finished job.
    with pytest.raises(KeyboardInterrupt):
        there.map(time.sleep, [(30,), (30,)])
    press.join()


def test_workers_go_where_their_parent_is_now(tmp_path, monkeypatch):
    run = Run(tmp_path, options=Options(threads=1))
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        places = Executor(run, processes=2).map(os.getcwd, [(), ()])
        assert places == [str(tmp_path / name)] * 2
