"""Dense class distributions from the few classes that were stored."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from limbeck.errors import ArgumentError
from limbeck.functional.divergences import soft_target_loss
from limbeck.functional.soft_labels import recover_soft_labels

KEPT = torch.tensor([[4, 1], [0, 2], [3, 4]])
SHARE = torch.tensor([[0.5, 0.25], [0.75, 0.25], [0.0, 0.0]], dtype=torch.float64)
RESTS = ("uniform", "renormalize")
every_rest = pytest.mark.parametrize("rest", RESTS)


def probabilities(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).softmax(-1).to(dtype)


# Values


def test_the_rest_is_uniform():
    actual = recover_soft_labels(KEPT, SHARE, classes=5)
    expected = [
        [1 / 12, 0.25, 1 / 12, 1 / 12, 0.5],
        [0.75, 0.0, 0.25, 0.0, 0.0],
        [1 / 3, 1 / 3, 1 / 3, 0.0, 0.0],
    ]
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64))


def test_the_rest_is_nothing():
    actual = recover_soft_labels(KEPT, SHARE, classes=5, rest="renormalize")
    expected = [[0.0, 1 / 3, 0.0, 0.0, 2 / 3], [0.75, 0.0, 0.25, 0.0, 0.0], [0.2] * 5]
    torch.testing.assert_close(actual, torch.tensor(expected, dtype=torch.float64))


@every_rest
def test_all_classes_kept_give_the_distribution_back(rest):
    p = probabilities(4, 6)
    kept = p.argsort(1, descending=True)
    actual = recover_soft_labels(kept, p.gather(1, kept), classes=6, rest=rest)
    torch.testing.assert_close(actual, p)


@every_rest
def test_classes_without_probabilities_share_alike(rest):
    actual = recover_soft_labels(KEPT, classes=5, rest=rest)
    assert actual.tolist()[0] == [0.0, 0.5, 0.0, 0.0, 0.5]
    one_hot = recover_soft_labels(KEPT[:, 0], classes=5, rest=rest)
    assert one_hot.tolist() == torch.nn.functional.one_hot(KEPT[:, 0], 5).tolist()


def test_one_class_in_a_row_or_in_a_column_is_the_same():
    kept, share = KEPT[:, 0], SHARE[:, 0]
    expected = recover_soft_labels(kept[:, None], share[:, None], classes=5)
    assert (recover_soft_labels(kept, share, classes=5) == expected).all()
    assert expected.tolist()[0] == [0.125, 0.125, 0.125, 0.125, 0.5]


@every_rest
def test_it_is_a_target_of_the_soft_target_loss(rest):
    student = probabilities(3, 5, seed=1).log().requires_grad_()
    target = recover_soft_labels(KEPT, SHARE, classes=5, rest=rest)
    loss = soft_target_loss(student, target, teacher_is="probabilities")
    assert loss.isfinite()
    assert torch.autograd.grad(loss, student)[0].isfinite().all()


# Types and transformations


@every_rest
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(rest, dtype):
    share = SHARE.to(dtype)
    actual = recover_soft_labels(KEPT, share, classes=5, rest=rest)
    assert actual.dtype == torch.float32
    assert (actual == recover_soft_labels(KEPT, share.float(), classes=5, rest=rest)).all()


def test_rounding_of_stored_halves_leaves_rows_that_sum_to_one():
    share, kept = probabilities(64, 1000).topk(32)
    stored = (share / share.sum(1, keepdim=True)).half()
    assert (stored.float().sum(1) > 1 + 1e-5).any()
    for rest in RESTS:
        actual = recover_soft_labels(kept, stored, classes=1000, rest=rest)
        torch.testing.assert_close(actual.sum(1), torch.ones(64))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_classes_may_be_stored_in_few_bits(dtype):
    expected = recover_soft_labels(KEPT, SHARE, classes=5)
    assert (recover_soft_labels(KEPT.to(dtype), SHARE, classes=5) == expected).all()


@every_rest
def test_compiles_to_one_graph_and_maps(rest):
    def recovered(kept, share):
        return recover_soft_labels(kept, share, classes=5, rest=rest)

    expected = recovered(KEPT, SHARE)
    compiled = torch.compile(recovered, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(KEPT, SHARE), expected)
    mapped = torch.func.vmap(recovered)(KEPT[:, None], SHARE[:, None])
    torch.testing.assert_close(mapped[:, 0], expected)


# Edges


@every_rest
def test_batch_of_one_and_of_zero(rest):
    one = recover_soft_labels(KEPT[:1], SHARE[:1], classes=5, rest=rest)
    torch.testing.assert_close(one.sum(1), torch.ones(1, dtype=torch.float64))
    for kept, share in ((KEPT[:0], SHARE[:0]), (KEPT[:0], None), (KEPT[:0, 0], None)):
        assert recover_soft_labels(kept, share, classes=5, rest=rest).shape == (0, 5)


@every_rest
def test_a_single_class_is_certain(rest):
    kept = torch.zeros(2, 1, dtype=torch.long)
    for share in (torch.tensor([[0.3], [1.0]]), torch.zeros(2, 1), None):
        actual = recover_soft_labels(kept, share, classes=1, rest=rest)
        assert actual.tolist() == [[1.0], [1.0]]


# Properties


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.data(), st.sampled_from(RESTS), st.integers(0, 99))
def test_rows_are_distributions_that_keep_what_was_kept(data, rest, seed):
    classes = data.draw(st.integers(2, 8))
    count = data.draw(st.integers(1, classes))
    p = probabilities(3, classes, seed=seed)
    share, kept = p.topk(count)
    actual = recover_soft_labels(kept, share, classes=classes, rest=rest)
    assert (actual >= 0).all()
    torch.testing.assert_close(actual.sum(1), torch.ones(3, dtype=torch.float64))
    again = actual.gather(1, kept)
    if rest == "renormalize":
        again = again * share.sum(1, keepdim=True)
    torch.testing.assert_close(again, share)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    moved = recover_soft_labels(kept[:, order], share[:, order], classes=classes, rest=rest)
    torch.testing.assert_close(moved, actual)


# Errors


@pytest.mark.parametrize(
    ("kept", "share", "message"),
    [
        (KEPT[None], None, r"classes_kept has shape \(1, 3, 2\), expected \(N, k\) or \(N,\)"),
        (KEPT, SHARE[:, :1], r"probabilities has shape \(3, 1\) and classes_kept \(3, 2\)"),
        (KEPT[:, :0], None, "classes_kept holds 0 of 5 classes, expected 1 to all"),
        (KEPT.repeat(1, 3), None, "classes_kept holds 6 of 5 classes"),
        (KEPT + 1, SHARE, "classes_kept holds class indices from 1 to 5, expected 0 to 4"),
        (KEPT.float(), SHARE, r"classes_kept has dtype torch.float32.*classes_kept.long\(\)"),
        (KEPT[:, [0, 0]], SHARE, "classes_kept names a class twice in a row"),
        (KEPT, SHARE * 2, "the smallest is 0 and the largest sum 2; store a softmax, not logits"),
        (KEPT, -SHARE, "probabilities must be at least 0 .*the smallest is -0.75"),
        (KEPT, SHARE * math.nan, "the smallest is nan"),
        (KEPT, SHARE.clone().requires_grad_(), r"probabilities requires grad.*detach\(\)"),
    ],
)
def test_bad_arguments_are_named(kept, share, message):
    with pytest.raises(ArgumentError, match=message):
        recover_soft_labels(kept, share, classes=5)


def test_rest_is_named():
    with pytest.raises(ArgumentError, match="rest is 'zero', expected one of 'uniform'"):
        recover_soft_labels(KEPT, SHARE, classes=5, rest="zero")
