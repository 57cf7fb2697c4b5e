"""Start a small run over and over, kill it at random moments, and look what comes out in the end.

Runs in a process of its own, whose children are forked and so need no imports: what a run would
import late stands here, so that the children are killed at work.
"""

import contextlib
import os
import random
import signal
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401
import sklearn.datasets  # noqa: F401
import torch

from limbeck.methods.kd.kd import KD
from limbeck.run import Run
from limbeck.run.run import Options

METHOD = KD(
    steps=12,
    batch_size=32,
    patience=20,
    look_every=4,
    views={"flip": True, "distinct": 2},
    teaching={"steps": 6, "batch_size": 32, "store": "top3"},
)
INPUTS = {
    "teacher": ["mlp?hidden=8", "mlp?hidden=6"],
    "student": "cnn?width=2",
    "data": "digits?labels=100",
}


def distill(folder: Path) -> None:
    """The run, saving its state at every step."""
    torch.set_num_threads(1)
    run = Run(folder, seed=3, options=Options(checkpoint_seconds=0.0))
    METHOD.distill(run, **INPUTS)


def content(folder: Path) -> dict[str, bytes]:
    """What two runs must agree on: product, stages, stored outputs, and metrics without clocks."""
    import json

    found = {}
    for part in ("product", "stages", "cache"):
        for path in sorted((folder / part).rglob("*")):
            # What was half written lies under a hidden name until a later start removes it.
            place = path.relative_to(folder)
            half = any(name.endswith((".lock", ".part")) for name in place.parts)
            if path.is_file() and not half:
                found[place.as_posix()] = path.read_bytes()
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    plain = [{name: row[name] for name in row if "seconds" not in name} for row in rows]
    found["metrics"] = json.dumps(plain).encode()
    return found


def killed_while_writing(count: int) -> None:
    """Make this process kill itself in the middle of its count-th write."""
    sync, left = os.fsync, [count]

    def half(handle: int) -> None:
        left[0] -= 1
        if not left[0]:
            # What is only read here was written before.
            with contextlib.suppress(OSError):
                os.ftruncate(handle, os.fstat(handle).st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)
        sync(handle)

    os.fsync = half


def attempt(folder: Path, draw: random.Random, seconds: float, writes: int) -> bool:
    """Run in a child that is killed at a random moment; True where it was quicker."""
    # Drawn before the fork, so that parent and child agree on what comes next.
    moment, count = draw.random() * seconds, draw.choice([0, draw.randrange(1, writes)])
    child = os.fork()
    if not child:
        try:
            if count:
                killed_while_writing(count)
            distill(folder)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            os._exit(1)
        os._exit(0)
    if not count:
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0, "a run that was killed before did not go on"
    return True


def main(folder: Path, kills: int) -> None:
    """Kill runs until enough were killed; every one must end as the run that nobody stopped."""
    begun = time.perf_counter()
    child = os.fork()
    if not child:
        distill(folder / "whole")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    seconds = time.perf_counter() - begun
    whole = content(folder / "whole")
    draw, killed, ended = random.Random(5), 0, 0
    while killed < kills:
        here = folder / str(ended)
        # Fewer and fewer kills a run: it must come to its end.
        for patience in range(200):
            if attempt(here, draw, seconds, 60 + 10 * patience):
                break
            killed += 1
        found = content(here)
        differing = [name for name in whole if found.get(name) != whole[name]]
        assert set(found) == set(whole), set(found) ^ set(whole)
        assert not differing, differing
        ended += 1
    print(f"{killed} kills, {ended} runs in the same bits")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
