"""Small cascades and data for the tests of cascades."""

import torch
from torch import nn

from limbeck.data import from_arrays

CLASSES = 3


def blobs(count=600, seed=0, **options):
    """Points of three classes that overlap."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(CLASSES, (count,), generator=draw)
    centres = torch.tensor([[0.0, 1.5], [1.3, -0.8], [-1.3, -0.8]])
    x = centres[y] + torch.randn(count, 2, generator=draw)
    third = count // 3
    parts = [(x[k : k + third], y[k : k + third]) for k in (0, third, 2 * third)]
    return from_arrays(*parts[0], validation=parts[1], test=parts[2], **options)


class Counting(nn.Module):
    """A linear classifier that notes how many samples it was asked about."""

    def __init__(self, seed=0, noise=0.5):
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.linear = nn.Linear(2, CLASSES)
        weight = torch.tensor([[0.0, 1.5], [1.3, -0.8], [-1.3, -0.8]])
        self.linear.weight.data = weight + noise * torch.randn(3, 2, generator=draw)
        self.linear.bias.data = noise * torch.randn(3, generator=draw)
        self.asked = 0

    def forward(self, x):
        self.asked += len(x)
        return self.linear(x)


class Part(nn.Module):
    """An exit and what lies before it."""

    def __init__(self, first, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Linear(2 if first else 8, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, state):
        state = self.body(state).relu()
        return self.head(state), state


class Exits(nn.Module):
    """Three exits one by one, or all at once."""

    def __init__(self, lazy=True):
        super().__init__()
        self.parts = nn.ModuleList([Part(k == 0, seed=k) for k in range(3)])
        if lazy:
            self.exit_stages = self.parts

    def forward(self, x):
        said = []
        for part in self.parts:
            logits, x = part(x)
            said.append(logits)
        return tuple(said)
