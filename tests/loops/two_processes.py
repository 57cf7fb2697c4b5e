"""Two models that learn in turn beside a frozen one: what each process of a run does."""

import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn

from limbeck.data import Loader, from_arrays
from limbeck.errors import Interrupted
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim, alternate, ema
from limbeck.run import Run
from limbeck.run.run import Options

sys.path.insert(0, str(Path(__file__).parent))
from toys import SGD, TURNS, Net

STEPS, STOP = 20, 7
ADAM = Optim("adamw", lr=0.01, clip=0.5)


class Blocks(nn.Module):
    """Sequences in a list: both are cut apart where models are."""

    def __init__(self):
        super().__init__()
        with torch_seeded(0):
            parts = (nn.Linear(3, 4), nn.Tanh()), (nn.Linear(4, 2),)
            self.blocks = nn.ModuleList(nn.Sequential(*part) for part in parts)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


def train(
    folder: Path, strategy: str = "ddp", precision: str = "64-true", stop: int | None = None
) -> dict[str, torch.Tensor]:
    """Train and return the weights of all models and averages; none where a key press stops it."""
    run = Run(folder, options=Options(precision=precision, strategy=strategy))
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    data = from_arrays(x, y)
    models = {"a": Blocks(), "bb": Net(1), "frozen": Net(2).requires_grad_(False)}

    def step(models, batch, at):
        if at.step == stop:
            signal.raise_signal(signal.SIGINT)
        said = {name: model(batch["x"]) for name, model in models.items()}
        aims = {"a": said["bb"].detach() + 1, "bb": said["frozen"]}
        return {name: (said[name] - aim).square().mean() for name, aim in aims.items()}

    loader = Loader(data, data.train, 8, stage="s", rank=run.engine.rank, world=run.engine.world)
    turn = TURNS["one after the other"]
    try:
        trained = alternate(
            run, "s", models, {"a": SGD, "bb": ADAM}, STEPS, step=step, batches=loader,
            turn=lambda at: turn(at.step), average={"a": ema(0.9)}, accumulate=2,
        )  # fmt: skip
    except Interrupted:
        return {}
    weights = {f"{n}.{k}": v for n, m in models.items() for k, v in m.state_dict().items()}
    return weights | {f"average.{k}": v for k, v in trained.averages["a"].items()}


def main(folder: Path, strategy: str) -> None:
    """Train in double and single precision, begin a run for others and end one that was begun."""
    rank = os.environ["RANK"]
    for precision in ("64-true", "32-true"):
        torch.save(train(folder / precision, strategy, precision), f"{folder}-{precision}.{rank}")
    assert not train(folder / "begun-by-two", strategy, stop=STOP)
    torch.save(train(folder / "begun-by-one", strategy), f"{folder}-begun-by-one.{rank}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
