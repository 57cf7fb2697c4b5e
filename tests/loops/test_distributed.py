"""Two processes do what one does, with copies of the models and with models cut over both."""

import subprocess
import sys

import pytest
import torch

from limbeck.run import Run

from . import two_processes
from .toys import rows


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def both(request, tmp_path_factory):
    """The folder of what two processes did; one process began a run of theirs."""
    folder = tmp_path_factory.mktemp(request.param) / "two"
    assert not two_processes.train(folder / "begun-by-one", stop=two_processes.STOP)
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        two_processes.__file__, str(folder), request.param,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


def weights(both, job):
    return [torch.load(f"{both}-{job}.{rank}", weights_only=True) for rank in range(2)]


def close(found, expected, rtol=1e-9, atol=1e-12):
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=rtol, atol=atol)


def test_two_processes_do_what_one_does(both, tmp_path):
    one = two_processes.train(tmp_path)
    for two in weights(both, "64-true"):
        close(two, one)
    first, second = rows(Run(tmp_path)), rows(Run(both / "64-true"))
    assert [row["step"] for row in first] == [row["step"] for row in second]
    for name in ("a", "bb"):
        losses = [row[name] for row in second]
        assert losses == pytest.approx([row[name] for row in first], rel=1e-9)


def test_single_precision_differs_by_rounding(both, tmp_path):
    one = two_processes.train(tmp_path, precision="32-true")
    largest = max(float(value.abs().max()) for value in one.values())
    for two in weights(both, "32-true"):
        close(two, one, rtol=0, atol=1e-5 * largest)


def test_two_go_on_where_one_stopped(both, tmp_path):
    for two in weights(both, "begun-by-one"):
        close(two, two_processes.train(tmp_path))


def test_one_goes_on_where_two_stopped(both, tmp_path):
    close(two_processes.train(both / "begun-by-two"), two_processes.train(tmp_path))
