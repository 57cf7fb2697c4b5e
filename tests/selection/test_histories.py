"""Forgotten samples are found from the networks of successive epochs."""

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.data import from_arrays
from limbeck.errors import ArgumentError
from limbeck.selection import forgetting_counts, right_over_epochs, selected


class Rule(nn.Module):
    """Says class 1 above a threshold."""

    def __init__(self, threshold):
        super().__init__()
        self.threshold = nn.Parameter(torch.tensor(threshold))
        self.eval()

    def forward(self, x):
        above = x[:, 0] - self.threshold
        return torch.stack([-above, above], 1)


@pytest.fixture
def data():
    x = np.arange(8, dtype=np.float32)[:, None]
    y = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    return from_arrays(x, y, validation=(x, y), test=(x, y))


def test_right_and_wrong_of_every_epoch_make_the_counts(data):
    network = Rule(0.0)

    def epochs():
        """One network into which the weights of each epoch are loaded."""
        for threshold in (3.5, 1.5, 3.5, 0.5):
            network.load_state_dict({"threshold": torch.tensor(threshold)})
            yield network.train()

    right = right_over_epochs(epochs(), data)
    assert right.dtype == np.bool_
    assert right.tolist() == [
        [True] * 8,
        [True, True, False, False, *[True] * 4],
        [True] * 8,
        [True, False, False, False, *[True] * 4],
    ]
    assert network.training
    counts = forgetting_counts(right)
    assert counts.tolist() == [0, 1, 2, 2, 0, 0, 0, 0]
    assert selected("forgetting", data.train.y, 2, counts=counts)[:2].tolist() == [2, 3]


def test_what_gives_no_table_is_refused(data):
    with pytest.raises(ArgumentError, match="there are no networks"):
        right_over_epochs([], data)
    numbers = from_arrays(np.zeros((20, 1)), np.linspace(0, 1, 20))
    with pytest.raises(ArgumentError, match="only classes"):
        right_over_epochs([Rule(0.0)], numbers)
    with pytest.raises(ArgumentError, match="forgetting_counts.right_over_epochs"):
        selected("forgetting", data.train.y, 1)
