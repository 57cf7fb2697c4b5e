"""Runs killed with SIGKILL at any moment go on and end in the same bits."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from limbeck import cards
from limbeck.experiment import Request, perform

from . import killing

KILLS = 50


@pytest.mark.timeout(900)
def test_resume_after_fifty_kills_ends_in_the_same_bits(tmp_path):
    done = subprocess.run(
        [sys.executable, killing.__file__, str(tmp_path), str(KILLS)],
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    said = re.fullmatch(r"(\d+) kills, (\d+) runs in the same bits\n", done.stdout)
    assert said, done.stdout
    assert int(said[1]) >= KILLS
    assert int(said[2]) >= 1


def started(folder):
    """The command line in a group of its own, so that its workers can be looked for."""
    command = [
        sys.executable, "-m", "limbeck", "run", "kd", "--preset", "tiny", "--seeds", "2",
        "--out", str(folder), "--quiet",
    ]  # fmt: skip
    return subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def alive(group):
    """Processes of a group that still run."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True)
    lines = [line.split() for line in listed.stdout.splitlines()]
    return [stat for number, stat in lines if int(number) == group and not stat.startswith("Z")]


@pytest.mark.skipif(not os.path.exists("/bin/ps"), reason="there is no ps to list processes")
@pytest.mark.filterwarnings("ignore::limbeck.errors.UnusualUseWarning")
def test_resume_a_command_killed_in_its_first_seconds(tmp_path):
    folder = tmp_path / "killed"
    for seconds in (0.5, 4.0):
        run = started(folder)
        while not (folder / "settings.toml").exists():
            assert run.poll() is None
            time.sleep(0.01)
        time.sleep(seconds)
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        patience = time.monotonic() + 60
        while alive(run.pid):
            assert time.monotonic() < patience, "workers outlive the command"
            time.sleep(0.05)
    again = subprocess.run(
        [sys.executable, "-m", "limbeck", "resume", str(folder), "--json", "--quiet"],
        capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    rows = json.loads(again.stdout.splitlines()[-1])["rows"]
    # One seed after the other and in this process, which changes no bit.
    tiny = cards.preset("kd", "tiny")
    request = Request("kd", tiny["settings"], tiny["inputs"], (0, 1), {"executor": "serial"})
    table = perform(request, tmp_path / "whole", quiet=True)
    assert [row["quality"] for row in rows] == [row["quality"] for row in table]
    for seed in ("0", "1"):
        product = "seeds", seed, "product", "network.safetensors"
        first, second = (tmp_path.joinpath(name, *product) for name in ("killed", "whole"))
        assert first.read_bytes() == second.read_bytes()
