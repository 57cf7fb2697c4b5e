"""Points in the plane lie where their descriptions say, by class and by mode."""

import math

import numpy as np
import pytest
import torch

from limbeck.data import MIXTURES
from limbeck.data.names import resolve
from limbeck.data.problems import PROBLEMS


def points(name, part="train"):
    split = getattr(resolve(name), part)
    return split.take(np.arange(len(split)))["x"].double(), split.y


@pytest.mark.parametrize("name", PROBLEMS)
def test_sets_are_found_by_name_and_always_the_same(name):
    data = resolve(name)
    assert (len(data.train), len(data.validation), len(data.test)) == (18_000, 2_000, 4_000)
    assert data.name == name
    assert data.input_space.shape == (2,)
    assert (data.input_space.mean, data.input_space.std) == ((), ())
    assert data.fingerprint == resolve(name).fingerprint
    x, y = points(name)
    assert abs(torch.bincount(y).double() / len(y) * data.outputs - 1).max() < 0.05
    assert not torch.equal(x[:100], points(name, "test")[0][:100])


@pytest.mark.parametrize("name", MIXTURES)
def test_points_of_mixtures_are_spread_about_their_modes(name):
    mixture = MIXTURES[name]
    x, y = points(name)
    for label in range(mixture.count):
        own, modes = x[y == label], mixture.modes(label)
        away, which = torch.cdist(own, mixture.means[modes]).min(1)
        assert away.max() < 6 * mixture.deviation
        nearest = torch.tensor(modes)[which]
        shares = torch.bincount(nearest, minlength=len(mixture.means)) / len(own)
        assert (shares - mixture.shares(label)).abs().max() < 0.03
        for mode in modes:
            offset = own[nearest == mode] - mixture.means[mode]
            bound = 5 * mixture.deviation / math.sqrt(len(offset))
            assert offset.mean(0).abs().max() < bound
            assert (offset.std(0) / mixture.deviation - 1).abs().max() < 0.15


def test_a_ring_has_its_radius_and_classes_by_turns():
    means = MIXTURES["ring8-2c"].means
    torch.testing.assert_close(means.norm(dim=1), torch.full((8,), 1.4, dtype=torch.float64))
    assert MIXTURES["ring8-2c"].modes(1) == [1, 3, 5, 7]


def test_shared_modes_weigh_twice_as_much_in_all_data():
    shares = MIXTURES["overlap-2c"].shares(None)
    assert shares.sum() == 1
    assert (shares[2] / shares[0]).item() == 2
    assert [sorted(one) for one in MIXTURES["overlap-2c"].classes][2:4] == [[0, 1], [0, 1]]


def test_petals_of_a_class_lie_at_its_radius_a_quarter_turn_apart():
    mixture = MIXTURES["petals-8c"]
    assert mixture.means.shape == (32, 2)
    for label in range(8):
        own = mixture.means[mixture.modes(label)]
        assert own.norm(dim=1).tolist() == pytest.approx([0.5 + 0.2 * label] * 4)
        turned = torch.stack([-own[:, 1], own[:, 0]], 1)
        torch.testing.assert_close(turned, own.roll(-1, 0))
    assert torch.pdist(mixture.means).min() > 4 * mixture.deviation


def test_a_board_fills_every_other_cell_evenly():
    x, y = points("checker-2c")
    assert x.abs().max() <= 2
    column, row = (x + 2).floor().clamp(max=3).long().T
    assert ((column + row) % 2 == 0).all()
    assert (row % 2 == y).all()
    counts = torch.bincount(row * 4 + column, minlength=16)
    assert (counts > 0).sum() == 8
    assert counts[counts > 0].min() > 0.9 * len(x) / 8


def test_a_roll_is_a_line_with_noise():
    x, y = points("swiss")
    assert (y == 0).all()
    # On the line the radius is the angle over 8, a full turn more for each time round.
    turn = 8 * x.norm(dim=1)
    off = (turn - torch.atan2(x[:, 1], x[:, 0])) / (2 * math.pi)
    assert ((off - off.round()).abs() * 2 * math.pi / 8).std() < 0.06
    assert turn.max() / math.pi == pytest.approx(4.5, abs=0.5)
