"""Jobs give the same results wherever the executor sends them, and again when a worker dies."""

import os
import signal
import socket
import sys

import numpy as np
import pytest
import torch
from cloudpickle import register_pickle_by_value, unregister_pickle_by_value

from limbeck import keyed
from limbeck.errors import ArgumentError, DataError, RunError
from limbeck.run import Run
from limbeck.run.run import Options


@pytest.fixture(autouse=True, scope="module")
def jobs_by_value():
    """Workers cannot import this module: its functions travel whole."""
    register_pickle_by_value(sys.modules[__name__])
    yield
    unregister_pickle_by_value(sys.modules[__name__])


def executor(tmp_path, where, processes=2):
    from limbeck.run.executor import Executor

    return Executor(Run(tmp_path, options=Options(executor=where)), processes)


def learnt(seed):
    """Weights after a few steps, and with how many threads they were made."""
    with keyed.torch_seeded(seed):
        net, x = torch.nn.Linear(8, 4), torch.randn(16, 8)
    for _ in range(5):
        net(x).square().mean().backward()
        with torch.no_grad():
            for one in net.parameters():
                one.sub_(one.grad)
                one.grad = None
    return net.weight.detach().numpy().tobytes(), torch.get_num_threads()


def dies_once(folder, number):
    """The first process that comes here is killed; the next one is not."""
    try:
        os.close(os.open(os.path.join(folder, f"{number}"), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return number * 10
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * 10


def dies(number):
    os.kill(os.getpid(), signal.SIGKILL)


def dies_at_two(number):
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuses(number):
    raise DataError(f"job {number} has no data")


def call(function, *words):
    return function(*words)


JOBS = [(seed,) for seed in range(4)]


def test_executor_in_turn_and_in_processes_agree(tmp_path):
    serial, local = (executor(tmp_path, where).map(learnt, JOBS) for where in ("serial", "local"))
    assert serial == local
    assert {threads for _, threads in serial} == {1}


def test_executor_serial_computes_here(tmp_path):
    assert executor(tmp_path, "serial").map(os.getpid, [()] * 3) == [os.getpid()] * 3


def test_executor_tries_again_when_a_worker_dies(tmp_path):
    jobs = [(str(tmp_path), number) for number in range(4)]
    assert executor(tmp_path, "local").map(dies_once, jobs) == [0, 10, 20, 30]


def test_executor_gives_up_on_a_job_that_dies_each_time(tmp_path):
    with pytest.raises(RunError, match="a worker died 2 times, and again with this job alone"):
        executor(tmp_path, "local").map(dies, [(1,), (2,), (3,)])


def test_executor_lets_no_other_job_fail_with_one_whose_worker_dies(tmp_path):
    said = executor(tmp_path, "local").attempt(dies_at_two, JOBS)
    assert isinstance(said[2], RunError)
    assert [*said[:2], said[3]] == [0, 1, 3]


def test_executor_gives_errors_back_in_the_place_of_results(tmp_path):
    said = executor(tmp_path, "local").attempt(refuses, [(1,), (2,)])
    assert [str(one) for one in said] == ["job 1 has no data", "job 2 has no data"]


def test_executor_names_the_places_there_are(tmp_path):
    with pytest.raises(ArgumentError, match="executor is 'cluster', expected local, serial, ray"):
        executor(tmp_path, "cluster")


def test_executor_without_ray_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ArgumentError, match=r"limbeck\[ray\]"):
        executor(tmp_path, "ray").map(learnt, JOBS)


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="ray is not installed")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield ray
    ray.shutdown()


def test_executor_on_a_silent_ray_address(tmp_path, ray):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"ray://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(RunError, match="no Ray cluster answers at ray://"):
        executor(tmp_path, address).map(learnt, JOBS)


@pytest.mark.parametrize("address", ["auto", "local", None])
def test_executor_leaves_words_for_an_address_to_ray(monkeypatch, ray, address):
    """Only where there is a host and a port is looked whether someone listens."""
    from limbeck.run.ray import connect

    asked = []
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: asked.append(options["address"]))
    if address is None:
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
    else:
        monkeypatch.setenv("RAY_ADDRESS", address)
    connect("ray", 1)
    assert asked == [address]
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(RunError, match="no Ray cluster answers at .* correct RAY_ADDRESS"):
        connect("ray", 1)


def test_executor_says_that_jobs_on_ray_are_waited_for(tmp_path, monkeypatch, capsys):
    there = executor(tmp_path, "ray")

    def pressed(function, jobs, said, shown, stop):
        os.kill(os.getpid(), signal.SIGINT)
        said.extend(function(*job) for job in jobs)

    monkeypatch.setattr(there, "_side_by_side", pressed)
    assert there.map(int, [(1,), (2,)]) == [1, 2]
    assert "jobs on Ray are waited for" in capsys.readouterr().err


def test_executor_on_a_local_ray_gives_the_same_bits(tmp_path, ray):
    there, x = executor(tmp_path, "ray"), np.arange(6)
    assert there.map(learnt, JOBS) == executor(tmp_path, "serial").map(learnt, JOBS)
    # All together, as each call starts workers anew.
    jobs = [*[(os.getpid,)] * 4, (np.square, x), (np.square, x + 1), (refuses, 0), (refuses, 1)]
    said = there.attempt(call, jobs)
    assert os.getpid() not in said[:4]
    assert [one.tolist() for one in said[4:6]] == [(x**2).tolist(), ((x + 1) ** 2).tolist()]
    assert [type(one) for one in said[6:]] == [DataError] * 2
    assert [str(one) for one in said[6:]] == ["job 0 has no data", "job 1 has no data"]
