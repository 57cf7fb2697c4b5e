"""Batch views: one change for a whole batch, on a schedule."""

import pytest
import torch

from limbeck.data.batch_views import BatchViews
from limbeck.errors import SettingsError


def images(count=3, size=(8, 8)):
    torch.manual_seed(0)
    return torch.randn(count, 2, *size)


def test_whole_images_that_are_neither_flipped_nor_shifted_stay_as_they_are():
    x = images()
    still = BatchViews(low=1, flip=False, roll=0)
    assert all(torch.equal(still.apply(x, step, 10, step), x) for step in range(10))


def test_a_curriculum_begins_with_whole_images():
    x = images()
    views = BatchViews(low=0.1, milestone=1.0, flip=False, roll=0)
    assert torch.equal(views.apply(x, 0, 10, 7), x)
    assert any(not torch.equal(views.apply(x, 9, 10, key), x) for key in range(5))


def test_shifts_go_down_and_to_the_right_by_at_most_the_roll():
    x = images(1)
    views = BatchViews(low=1, flip=False, roll=2)
    places = {
        next(
            (down, right)
            for down in range(8)
            for right in range(8)
            if torch.equal(torch.roll(x, (down, right), (-2, -1)), views.apply(x, 0, 1, key))
        )
        for key in range(60)
    }
    assert places == {(down, right) for down in range(3) for right in range(3)}


def test_roll_back_shifts_both_ways():
    x = images(1)
    views = BatchViews(low=1, flip=False, roll=1, roll_back=True)
    shifted = [views.apply(x, 0, 1, key) for key in range(60)]
    up = torch.roll(x, (-1, -1), (-2, -1))
    assert any(torch.equal(one, up) for one in shifted)


def test_every_image_of_a_batch_gets_the_same_change():
    x = images(1).expand(4, 2, 8, 8)
    views = BatchViews(low=0.2, roll=3)
    for key in range(10):
        changed = views.apply(x, 0, 1, key)
        assert all(torch.equal(one, changed[0]) for one in changed)
        assert torch.equal(views.apply(x, 0, 1, key), changed)


def test_flips_come_half_of_the_time():
    x = images(1)
    views = BatchViews(low=1, roll=0)
    flipped = sum(torch.equal(views.apply(x, 0, 1, key), x.flip(-1)) for key in range(400))
    assert 150 < flipped < 250


def test_the_gradient_reaches_the_images_and_no_batch_is_changed_in_place():
    x = images().requires_grad_()
    before = x.detach().clone()
    BatchViews(low=0.3, roll=2).apply(x, 0, 1, 3).sum().backward()
    assert torch.equal(x.detach(), before)
    assert float(x.grad.abs().sum()) > 0


def test_images_need_not_be_square():
    assert BatchViews(low=0.2).apply(images(size=(6, 10)), 0, 1, 1).shape == (3, 2, 6, 10)


def test_settings_outside_their_range_are_refused():
    with pytest.raises(SettingsError, match="low"):
        BatchViews(low=0)
    with pytest.raises(SettingsError, match="milestone"):
        BatchViews(milestone=1.5)
