"""What every loss on logits and lists of scores must do, driven by one table."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from limbeck.errors import ArgumentError
from limbeck.functional.correlation import correlation_loss
from limbeck.functional.decoupled import decoupled_loss
from limbeck.functional.pairwise import (
    lambda_loss,
    margin_mse_loss,
    pairwise_hinge_loss,
    ranknet_loss,
)
from limbeck.functional.ranking import list_mle_loss, list_net_loss, plackett_luce_loss
from limbeck.functional.retrieval import info_nce_loss, pointwise_loss
from limbeck.functional.soft_ranks import approximate_ndcg_loss, rank_mse_loss


class Row(NamedTuple):
    """A loss, what stands beside the student, and which options it has."""

    loss: Callable[..., Tensor]
    others: str
    shifts: bool = True
    has_mask: bool = True
    has_reduction: bool = True


TABLE = {
    "plackett_luce": Row(plackett_luce_loss, "teacher label", has_mask=False),
    "plackett_luce_position": Row(
        partial(plackett_luce_loss, weights="position", min_first_weight=0.4),
        "teacher label",
        has_mask=False,
    ),
    "decoupled": Row(decoupled_loss, "teacher label", has_mask=False),
    "correlation": Row(correlation_loss, "teacher", has_mask=False, has_reduction=False),
    "list_mle": Row(list_mle_loss, "teacher"),
    "list_mle_teacher": Row(partial(list_mle_loss, weights="teacher"), "teacher"),
    "list_net": Row(list_net_loss, "teacher"),
    "list_kl": Row(partial(list_net_loss, divergence="kl"), "teacher"),
    "ranknet": Row(ranknet_loss, "teacher"),
    "margin_mse": Row(margin_mse_loss, "teacher"),
    "rank_mse": Row(rank_mse_loss, "teacher"),
    "hinge": Row(partial(pairwise_hinge_loss, margin=2.5), "grades"),
    "lambda": Row(lambda_loss, "grades"),
    "lambda_top": Row(partial(lambda_loss, weighting="lambdarank", top=2), "grades"),
    "approximate_ndcg": Row(approximate_ndcg_loss, "grades"),
    "info_nce": Row(info_nce_loss, "positives"),
    "info_nce_index": Row(info_nce_loss, "label"),
    "pointwise": Row(pointwise_loss, "positives", shifts=False),
}
every = pytest.mark.parametrize("name", TABLE)
with_teacher = [name for name, row in TABLE.items() if "teacher" in row.others]
with_mask = [name for name, row in TABLE.items() if row.has_mask]
with_reduction = [name for name, row in TABLE.items() if row.has_reduction]


def make(name, rows=4, columns=5, dtype=torch.float64, seed=0):
    """The student's scores and the other arguments of a row of the table."""
    generator = torch.Generator().manual_seed(seed)

    def normal():
        return (2 * torch.randn(rows, columns, generator=generator, dtype=torch.float64)).to(dtype)

    student = normal()
    label = torch.randint(columns, (rows,), generator=generator)
    others = {
        "teacher": normal(),
        "label": label,
        "grades": torch.randint(4, (rows, columns), generator=generator),
        "positives": torch.nn.functional.one_hot(label, columns).logical_or(normal() > 2).long(),
    }
    return student, *(others[kind] for kind in TABLE[name].others.split())


@every
def test_gradients_of_both_orders_are_right(name):
    student, *others = make(name, rows=2, columns=3)
    loss = TABLE[name].loss
    leaf = student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, *others), leaf)
    assert torch.autograd.gradgradcheck(lambda s: loss(s, *others), leaf)


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name, dtype):
    student, *others = make(name, dtype=dtype)
    leaf = student.requires_grad_()
    value = TABLE[name].loss(leaf, *others)
    wide = [x.float() if x.is_floating_point() else x for x in (student, *others)]
    torch.testing.assert_close(value, TABLE[name].loss(*wide), rtol=0, atol=0)
    assert value.dtype == torch.float32
    value.backward()
    assert leaf.grad.dtype == dtype
    assert leaf.grad.isfinite().all()


@every
def test_compiles_as_one_graph(name):
    student, *others = make(name, dtype=torch.float32)
    loss = TABLE[name].loss
    torch._dynamo.reset()
    compiled = torch.compile(lambda *given: loss(*given), fullgraph=True, backend="aot_eager")
    leaves = student.clone().requires_grad_(), student.clone().requires_grad_()
    values = loss(leaves[0], *others), compiled(leaves[1], *others)
    torch.testing.assert_close(values[1], values[0])
    for value in values:
        value.backward()
    torch.testing.assert_close(leaves[1].grad, leaves[0].grad, rtol=1e-4, atol=1e-5)


@every
def test_maps_and_differentiates_by_function_transforms(name):
    loss = TABLE[name].loss
    sets = [make(name, seed=seed) for seed in range(3)]
    stacked = [torch.stack(parts) for parts in zip(*sets, strict=True)]
    values = torch.func.vmap(loss)(*stacked)
    slopes = torch.func.vmap(torch.func.grad(loss))(*stacked)
    for (student, *others), value, slope in zip(sets, values, slopes, strict=True):
        leaf = student.requires_grad_()
        expected = loss(leaf, *others)
        torch.testing.assert_close(value, expected.detach())
        torch.testing.assert_close(slope, torch.autograd.grad(expected, leaf)[0])


@every
def test_extreme_scores_stay_finite(name):
    student, *others = make(name, dtype=torch.float32)
    leaf = (1e4 * student.sign()).requires_grad_()
    others = [1e4 * x.sign() if x.is_floating_point() else x for x in others]
    value = TABLE[name].loss(leaf, *others)
    value.backward()
    assert value.isfinite()
    assert leaf.grad.isfinite().all()


@every
def test_equal_scores_have_a_finite_gradient(name):
    student, *others = make(name)
    leaf = torch.zeros_like(student).requires_grad_()
    others = [torch.zeros_like(x) if x.is_floating_point() else x for x in others]
    value = TABLE[name].loss(leaf, *others)
    value.backward()
    assert value.isfinite()
    assert leaf.grad.abs().max() < 100


@every
@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (1, 1), (4, 1), (0, 5)])
def test_small_and_empty_batches_are_defined(name, rows, columns):
    student, *others = make(name, rows=rows, columns=columns)
    leaf = student.requires_grad_()
    value = TABLE[name].loss(leaf, *others)
    value.backward()
    assert value.isfinite()
    assert leaf.grad.isfinite().all()
    if rows == 0 or (columns == 1 and name not in ("pointwise", "correlation")):
        assert value == 0
    if columns == 1 and name != "pointwise":
        assert (leaf.grad == 0).all()


@pytest.mark.parametrize("name", [name for name, row in TABLE.items() if row.shifts])
def test_a_constant_added_to_a_row_changes_nothing(name):
    student, *others = make(name)
    moved = student + torch.tensor([[7.0], [-3.0], [0.5], [100.0]], dtype=torch.float64)
    loss = TABLE[name].loss
    torch.testing.assert_close(loss(moved, *others), loss(student, *others))


@pytest.mark.parametrize("name", [name for name in TABLE if name != "margin_mse"])
def test_columns_may_come_in_any_order(name):
    student, *others = make(name)
    if "grades" in TABLE[name].others:
        others = [torch.stack([torch.arange(5).roll(i) for i in range(4)])]
    order = torch.tensor([3, 0, 4, 1, 2])
    moved = [x[:, order] if x.ndim == 2 else order.argsort()[x] for x in others]
    loss = TABLE[name].loss
    torch.testing.assert_close(loss(student[:, order], *moved), loss(student, *others))


@pytest.mark.parametrize("name", with_mask)
def test_masked_candidates_change_nothing(name):
    student, *others = make(name, columns=3)
    loss, leaf = TABLE[name].loss, student.clone().requires_grad_()
    mask = torch.tensor([True, True, True, False, False]).expand(4, 5)

    def padded(value):
        if value.ndim == 1:
            return value
        fill = math.nan if value.is_floating_point() else 1
        return torch.cat([value, torch.full((4, 2), fill).to(value.dtype)], 1)

    wide = padded(student).requires_grad_()
    value = loss(wide, *map(padded, others), mask=mask)
    expected = loss(leaf, *others)
    torch.testing.assert_close(value, expected)
    torch.autograd.backward([value, expected])
    torch.testing.assert_close(wide.grad[:, :3], leaf.grad)
    assert (wide.grad[:, 3:] == 0).all()


@pytest.mark.parametrize("name", with_mask)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_nothing_selected_is_zero_without_gradient(name, reduction):
    student, *others = make(name)
    leaf = student.requires_grad_()
    mask = torch.zeros(4, 5, dtype=torch.bool)
    value = TABLE[name].loss(leaf, *others, mask=mask, reduction=reduction)
    assert (value == 0).all()
    value.sum().backward()
    assert (leaf.grad == 0).all()


@pytest.mark.parametrize("name", with_mask)
def test_a_list_without_candidates_does_not_weigh_in(name):
    student, *others = make(name)
    mask = torch.ones(4, 5, dtype=torch.bool)
    mask[0] = False
    value = TABLE[name].loss(student, *others, mask=mask)
    expected = TABLE[name].loss(student[1:], *(x[1:] for x in others))
    torch.testing.assert_close(value, expected)


@pytest.mark.parametrize("name", with_reduction)
def test_reductions_agree(name):
    student, *others = make(name)
    loss = partial(TABLE[name].loss, student, *others)
    single = loss(reduction="none")
    assert single.shape[0] == 4
    if name in ("ranknet", "hinge", "lambda", "lambda_top"):
        torch.testing.assert_close(loss(average="lists"), single[single != 0].mean())
    elif name != "rank_mse":
        torch.testing.assert_close(loss(), single.mean())
        torch.testing.assert_close(loss(reduction="sum"), single.sum())
    with pytest.raises(ArgumentError, match="'mean', 'sum', 'none'"):
        loss(reduction="average")


@pytest.mark.parametrize("name", with_teacher)
def test_a_teacher_that_requires_grad_is_an_error(name):
    student, teacher, *others = make(name)
    with pytest.raises(ArgumentError, match=r"requires grad.*detach"):
        TABLE[name].loss(student, teacher.requires_grad_(), *others)


@every
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_not_a_number_is_an_error(name, bad):
    student, *others = make(name)
    student[2, 1] = bad
    with pytest.raises(ArgumentError, match=r"student\w+ holds NaN or infinity at 1 of 20.*2, 1"):
        TABLE[name].loss(student, *others)


@pytest.mark.parametrize("name", with_teacher)
def test_a_teacher_with_nan_is_an_error(name):
    student, teacher, *others = make(name)
    teacher[0, 0] = math.nan
    with pytest.raises(ArgumentError, match=r"teacher.* holds NaN"):
        TABLE[name].loss(student, teacher, *others)


@every
def test_shapes_that_disagree_are_an_error(name):
    student, *others = make(name)
    with pytest.raises(ArgumentError, match=r"expected"):
        TABLE[name].loss(student[:3], *others)
    others = [x[:, :4] if x.ndim == 2 else x for x in others]
    if others[0].ndim == 2:
        with pytest.raises(ArgumentError, match=r"\(4, 5\).*\(4, 4\).*same classes"):
            TABLE[name].loss(student, *others)


@pytest.mark.parametrize(
    "name", ["plackett_luce", "plackett_luce_position", "decoupled", "info_nce_index"]
)
def test_labels_that_are_no_class_are_an_error(name):
    student, *others, label = make(name)
    loss = partial(TABLE[name].loss, student, *others)
    with pytest.raises(ArgumentError, match=r"from 0 to 5, expected 0 to 4"):
        loss(torch.tensor([0, 5, 1, 2]))
    with pytest.raises(ArgumentError, match=r"-1"):
        loss(torch.tensor([0, -1, 1, 2]))
    with pytest.raises(ArgumentError, match="long"):
        loss(label.double())


@pytest.mark.parametrize("name", with_mask)
def test_a_mask_that_is_not_boolean_is_an_error(name):
    student, *others = make(name)
    with pytest.raises(ArgumentError, match=r"mask has dtype.*mask.bool\(\)"):
        TABLE[name].loss(student, *others, mask=torch.ones(4, 5))
    with pytest.raises(ArgumentError, match="mask has shape"):
        TABLE[name].loss(student, *others, mask=torch.ones(4, dtype=torch.bool))


@pytest.mark.parametrize("name", with_mask)
def test_lists_without_a_place_for_candidates_are_an_error(name):
    given = [x[:, :0] if x.ndim == 2 else x for x in make(name)]
    with pytest.raises(ArgumentError, match=r"without a candidate|expected 0 to -1"):
        TABLE[name].loss(*given)


@pytest.mark.parametrize("size", [1e10, -1e10, 1e30])
def test_padding_does_not_count_whatever_the_size_of_scores(size):
    scores = torch.tensor([[1.0, 1.0, 1.0], [1.0, 1.001, 0.0]]) * size
    teacher = torch.tensor([[3.0, 2.0, 9.0], [3.0, 2.0, 9.0]])
    mask = torch.tensor([[True, True, False]] * 2)
    padded = list_mle_loss(scores, teacher, mask=mask, reduction="none")
    alone = list_mle_loss(scores[:, :2], teacher[:, :2], reduction="none")
    torch.testing.assert_close(padded, alone)
