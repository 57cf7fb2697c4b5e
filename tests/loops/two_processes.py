"""Two models that learn in turn beside a frozen one: what each process of a run does."""

import sys
from pathlib import Path

import numpy as np
import torch

from limbeck.data import Loader, from_arrays
from limbeck.loops import alternate, ema
from limbeck.run import Run
from limbeck.run.run import Options

sys.path.insert(0, str(Path(__file__).parent))
from toys import SGD, STEPS, TURNS, Net


def train(folder: Path) -> dict[str, torch.Tensor]:
    """Train and return the weights of all models and averages."""
    run = Run(folder, options=Options(precision="64-true"))
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    data = from_arrays(x, y)
    models = {"a": Net(0), "bb": Net(1), "frozen": Net(2).requires_grad_(False)}

    def step(models, batch, at):
        said = {name: model(batch["x"]) for name, model in models.items()}
        aims = {"a": said["bb"].detach() + 1, "bb": said["frozen"]}
        return {name: (said[name] - aim).square().mean() for name, aim in aims.items()}

    loader = Loader(data, data.train, 8, stage="s", rank=run.engine.rank, world=run.engine.world)
    turn = TURNS["one after the other"]
    trained = alternate(
        run, "s", models, {"a": SGD, "bb": SGD}, STEPS, step=step, batches=loader,
        turn=lambda at: turn(at.step), average={"a": ema(0.9)}, accumulate=2,
    )  # fmt: skip
    weights = {f"{n}.{k}": v for n, m in models.items() for k, v in m.state_dict().items()}
    return weights | {f"average.{k}": v for k, v in trained.averages["a"].items()}


if __name__ == "__main__":
    torch.save(train(Path(sys.argv[1])), f"{sys.argv[1]}.{Run('.').engine.rank}.pt")
