"""Toys for the tests of the loop: a small network and the steps that train it."""

import json
import signal

import numpy as np
import torch
from torch import nn

from limbeck import keyed
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim

STEPS = 12
SGD = Optim("sgd", lr=0.1, momentum=0.9)
# Which of the models "a" and "bb" learn at a step.
TURNS = {
    "all": lambda step: ("a", "bb"),
    "one after the other": lambda step: ("a", "bb")[step % 2 :][:1],
    "five and one": lambda step: ("bb",) if step % 6 == 5 else ("a",),
    "now and then nobody": lambda step: () if step % 3 == 0 else ("a",),
}


class Net(nn.Module):
    """A linear map behind dropout and batch normalisation."""

    def __init__(self, seed=0, drop=0.0, norm=False):
        super().__init__()
        with torch_seeded(seed):
            self.body = nn.Linear(3, 2)
        self.drop = nn.Dropout(drop)
        self.norm = nn.BatchNorm1d(3) if norm else nn.Identity()

    def forward(self, x):
        return self.body(self.drop(self.norm(x)))


def inputs(step):
    return torch.from_numpy(keyed.uniform(keyed.key("x", step), np.arange(4), 3)).float()


def pull(models, batch, at):
    """Every model is pulled to numbers of its own."""
    return {
        name: (model(inputs(at.step)) - len(name)).square().mean() for name, model in models.items()
    }


def copied(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


def rows(run):
    found = [json.loads(line) for line in (run.dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in found]


def interrupting(step, when):
    """A step that asks for a stop while it runs."""

    def asking(models, batch, at):
        if at.step == when:
            signal.raise_signal(signal.SIGINT)
        return step(models, batch, at)

    return asking
