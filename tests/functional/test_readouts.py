"""Readouts over roots."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional.readouts import root_readout

X = torch.tensor([[1.0, 0.0], [2.0, 1.0], [4.0, 2.0], [8.0, 4.0]])
GRAPH = torch.tensor([0, 0, 2, 2])


def test_sums_and_means_of_all_nodes():
    assert root_readout(X, GRAPH, 3).tolist() == [[3, 1], [0, 0], [12, 6]]
    assert root_readout(X, GRAPH, 3, reduce="mean").tolist() == [[1.5, 0.5], [0, 0], [6, 3]]


def test_roots_alone_count_as_often_as_they_say():
    root = torch.tensor([True, False, True, True])
    assert root_readout(X, GRAPH, 3, root=root)[0].tolist() == [1, 0]
    times = torch.tensor([0.0, 1.0, 3.0, 1.0])
    assert root_readout(X, GRAPH, 3, root=times)[2].tolist() == [20, 10]
    assert root_readout(X, GRAPH, 3, root=times, reduce="mean")[2].tolist() == [5, 2.5]


def test_gradients_reach_roots_alone():
    x = X.clone().requires_grad_()
    root_readout(x, GRAPH, 3, root=torch.tensor([1, 0, 0, 1])).sum().backward()
    assert x.grad[:, 0].tolist() == [1, 0, 0, 1]


def test_bad_input_is_said():
    with pytest.raises(ArgumentError, match="expected \\(A, D\\)"):
        root_readout(X, GRAPH[:2], 3)
    with pytest.raises(ArgumentError, match="reduce"):
        root_readout(X, GRAPH, 3, reduce="max")
