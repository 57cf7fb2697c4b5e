"""A fingerprint is equal exactly where the content is equal, in every process."""

import dataclasses
import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim
from limbeck.networks import MLP


class Named:
    """Brings a fingerprint of its own."""

    def __init__(self, word):
        self.fingerprint = word

    def route(self, batch):
        return batch


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


@dataclasses.dataclass
class Place:
    x: int
    y: int = 0


def power(exponent):
    return lambda x: x**exponent


def network(seed=0, width=4):
    with torch_seeded(seed):
        return MLP(3, [width], 2)


# Every one differs from every other.
DIFFERENT = [
    (), (1,), (2,), (1, 2), ((1, 2),), ("1",), (b"1",), (1.0,), (True,), (None,), ("None",), ("",),
    ("ab",), ("a", "b"), (["a", "b"],), ([["a"], "b"],), ([],), ({},), ([[]],), (float("nan"),),
    ({"a": 1},), ({"a": "1"},), ({1: 1},), ({"1": 1},), ({"a": 1, "b": 2},), ({"a": {"b": 2}},),
    (np.zeros(2),), (np.zeros(2, np.float32),), (np.zeros((1, 2)),), (np.zeros((2, 0)),),
    (np.array(0.0),), (np.array([0.0, 1.0]),), (np.array(["a"]),),
    (torch.zeros(2),), (torch.zeros(2).double(),), (torch.zeros(1, 2),), (torch.tensor(0.0),),
    (torch.zeros(0),), (torch.zeros(2).bfloat16(),), (torch.tensor([0.0, 1.0]),),
    (torch.tensor([True]),), (torch.tensor([1j]),),
    (network(),), (network(seed=1),), (network(width=5),), (nn.Sequential(*network()),),
    (Point(1),), (Point(1, 1),), (Place(1),), (Optim(),), (Optim(lr=0.5),),
    (Named("a"),), (Named("b"),), (Named("a"), Named("b")), (Named("afingerprint:b"),),
    (fingerprint,), (functools.partial(fingerprint, 1),), (functools.partial(fingerprint, 2),),
    (functools.partial(fingerprint, key=1),), (nn.Linear,), (power(2),), (power(3),),
    (lambda x: x + 1,), (lambda x: x + 2,), (lambda x, y=1: x,), (lambda x, y=2: x,),
    (lambda x: [z + 1 for z in x],), (lambda x: [z + 2 for z in x],),
    (Named("a").route,), (Named("b").route,),
]  # fmt: skip


def test_different_content_has_different_words():
    words = [fingerprint(*values) for values in DIFFERENT]
    twice = [DIFFERENT[n] for n, word in enumerate(words) if words.count(word) > 1]
    assert not twice
    assert all(len(word) == 16 and int(word, 16) >= 0 for word in words)


def test_equal_content_has_equal_words():
    values = torch.arange(6.0)
    equal = [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ((1, 2), [1, 2]),
        (values.reshape(2, 3).T, values.reshape(2, 3).T.contiguous()),
        (values[::2], values[::2].clone()),
        (values.clone().requires_grad_(), values),
        (np.arange(6.0).reshape(2, 3).T, np.arange(6.0).reshape(2, 3).T.copy()),
        (network(), network()),
        (network().train(), network().eval().requires_grad_(False)),
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (power(2), power(2)),
        (Optim(lr=1), Optim(lr=1.0)),
    ]
    for first, second in equal:
        assert fingerprint(first) == fingerprint(second)


def test_a_function_may_call_itself():
    def countdown(n):
        return countdown(n - 1) if n else 0

    assert fingerprint(countdown) == fingerprint(countdown)


def test_buffers_are_content():
    norm = nn.BatchNorm1d(2)
    before = fingerprint(norm)
    norm(torch.rand(4, 2))
    assert fingerprint(norm) != before


def test_words_never_change():
    """What was stored under them must be found again, on every machine."""
    assert fingerprint("a", 1, [None, {"b": 2.5}]) == "7a573fc8319de6b8"
    assert fingerprint(torch.arange(3), np.arange(3.0)) == "372d2c6d092db097"


CODE = """
import torch
from limbeck.fingerprint import fingerprint
from limbeck.keyed import torch_seeded
from limbeck.networks import MLP
with torch_seeded(0):
    network = MLP(3, [4], 2)
names = {"a": 1, "b": [2, None]}
print(fingerprint(network, names, lambda x: [z + 1 for z in x if z in {"a", "b", "c", "d"}]))
"""


def test_words_are_equal_in_every_process(capsys):
    done = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True,
        env={"PYTHONHASHSEED": "1"},
    )  # fmt: skip
    exec(CODE, {"__name__": "__main__"})
    assert capsys.readouterr().out == done.stdout


@pytest.mark.parametrize("value", [object(), {1, 2}, [object()], {"a": object()}])
def test_what_cannot_be_read_is_refused(value):
    with pytest.raises(ArgumentError, match="cannot take the fingerprint of a (object|set)"):
        fingerprint(value)
