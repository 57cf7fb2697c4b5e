"""Label views: draws that replay, and images rebuilt from them."""

import numpy as np
import pytest
import torch

from limbeck.data import InputSpace
from limbeck.labels.views import LabelViews, Replay

SPACE = InputSpace((6, 6), channels=1, mean=(0.4,), std=(0.3,))


def pictures(count=7):
    torch.manual_seed(1)
    return torch.randint(0, 256, (count, 1, 6, 6), dtype=torch.uint8)


def drawn(step=0, count=7, seed=0, **changes):
    views = LabelViews(**{"batch_size": 4, **changes})
    return views.draw(step, views.order(count, seed), (6, 6), seed)


def test_every_batch_is_full_and_every_epoch_shows_each_image_once():
    views = LabelViews(epochs=4, batch_size=4)
    order = views.order(7, 0)
    rows = [views.draw(step, order, (6, 6), 0).rows for step in range(views.steps_for(7))]
    assert [len(one) for one in rows] == [4] * 7
    assert torch.cat(rows).bincount().tolist() == [4] * 7


def test_a_batch_is_no_larger_than_the_set():
    assert LabelViews(batch_size=100).size_for(7) == 7
    assert LabelViews(steps=12, batch_size=100).steps_for(7) == 12


def test_the_same_numbers_draw_the_same_batch():
    first, again, other = drawn(3), drawn(3), drawn(4)
    same = {name: torch.equal(one, again.columns()[name]) for name, one in first.columns().items()}
    assert all(same.values())
    assert not torch.equal(first.boxes, other.boxes)
    assert not torch.equal(first.boxes, drawn(3, seed=1).boxes)


@pytest.mark.parametrize("mix", ["cutmix", "mixup", "none"])
def test_what_is_stored_rebuilds_the_batch_to_the_bit(mix):
    given = pictures()
    for step in range(20):
        replay = drawn(step, mix=mix)
        again = Replay.of_columns(replay.columns())
        assert torch.equal(replay.show(given, SPACE), again.show(given, SPACE))


def test_without_changes_the_images_come_as_they_are():
    given = pictures()
    replay = drawn(low=1, flip=False, mix="none")
    assert torch.allclose(replay.show(given, SPACE), SPACE.of_bytes(given[replay.rows]))


def test_flips_mirror_single_images():
    given = pictures()
    replay = drawn(low=1, mix="none")
    shown, plain = replay.show(given, SPACE), SPACE.of_bytes(given[replay.rows])
    for one, was, flipped in zip(shown, plain, replay.flips, strict=True):
        assert torch.allclose(one, was.flip(-1) if flipped else was, atol=1e-6)


def test_cutmix_pastes_one_box_of_each_partner():
    given = pictures()
    for step in range(10):
        replay = drawn(step, low=1, flip=False)
        plain = SPACE.of_bytes(given[replay.rows])
        top, left, bottom, right = replay.cut
        expected = plain.clone()
        for place, partner in enumerate(replay.partners.tolist()):
            expected[place, :, top:bottom, left:right] = plain[partner, :, top:bottom, left:right]
        torch.testing.assert_close(replay.show(given, SPACE), expected)


def test_mixup_blends_and_an_empty_box_of_cutmix_does_not():
    given = pictures()
    replay = drawn(low=1, flip=False, mix="mixup")
    plain = SPACE.of_bytes(given[replay.rows])
    mixed = replay.share * plain + (1 - replay.share) * plain[replay.partners]
    torch.testing.assert_close(replay.show(given, SPACE), mixed)
    empty = next(
        one
        for one in (drawn(step, low=1, flip=False) for step in range(200))
        if one.cut[0] == one.cut[2] or one.cut[1] == one.cut[3]
    )
    torch.testing.assert_close(
        empty.show(given, SPACE), SPACE.of_bytes(given[empty.rows]), atol=1e-6, rtol=0
    )


def test_hard_labels_are_mixed_as_the_images_are():
    labels = torch.arange(7)
    replay = drawn()
    shares = replay.classes(labels, 7, (6, 6))
    assert torch.allclose(shares.sum(1), torch.ones(4))
    # Images of one value each tell whose pixels are where.
    plain = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1).expand(7, 1, 6, 6)
    own_space = InputSpace((6, 6), channels=1, range=(0.0, 255.0))
    for step in range(20):
        replay = drawn(step, low=1, flip=False)
        shown, shares = replay.show(plain, own_space), replay.classes(labels, 7, (6, 6))
        for one, row in zip(shown, shares, strict=True):
            counted = [float((one.round() == value).float().mean()) for value in range(7)]
            np.testing.assert_allclose(row.numpy(), counted, atol=1e-6)
    blend = drawn(mix="mixup")
    expected = torch.nn.functional.one_hot(labels[blend.rows], 7) * blend.share
    expected = expected + (1 - blend.share) * torch.nn.functional.one_hot(
        labels[blend.rows[blend.partners]], 7
    )
    torch.testing.assert_close(blend.classes(labels, 7, (6, 6)), expected)
