"""Argument checks: what passes, and errors that name the argument, what came and the fix."""

from __future__ import annotations

import math

import pytest
import torch

from limbeck.checks import (
    check_axis,
    check_choice,
    check_class_indices,
    check_dimensions,
    check_floating,
    check_no_grad,
    check_probabilities,
    check_same_shape,
    check_temperature,
    check_unit_interval,
    check_weights,
)
from limbeck.errors import ArgumentError, LimbeckError

NAN, INF = math.nan, math.inf


def refuses(check, *arguments, match):
    with pytest.raises(ArgumentError, match=match):
        check(*arguments)


def test_argument_error_is_a_value_error_of_limbeck():
    assert issubclass(ArgumentError, ValueError)
    assert issubclass(ArgumentError, LimbeckError)


def test_same_shape():
    names = ("student", "teacher")
    check_same_shape(torch.zeros(2, 3), torch.ones(2, 3), names)
    check_same_shape(torch.tensor(0.0), torch.tensor(1.0), names)
    message = r"student has shape \(2, 3\) and teacher has shape \(2, 4\), expected equal shapes"
    refuses(
        check_same_shape,
        torch.zeros(2, 3),
        torch.zeros(2, 4),
        names,
        match=message + "; the last dimensions differ: do both models have the same classes",
    )
    # The hint at classes is not given where the classes agree.
    for other in (torch.zeros(4, 3), torch.zeros(3)):
        refuses(check_same_shape, torch.zeros(2, 3), other, names, match=r"equal shapes$")


def test_dimensions():
    check_dimensions(torch.zeros(2, 3), "logits", 2, "(N, C)")
    refuses(
        check_dimensions,
        torch.zeros(2),
        "logits",
        2,
        "(N, C)",
        match=r"^logits has shape \(2,\), expected \(N, C\)$",
    )


def test_temperature():
    for temperature in (1e-6, 1, 20.0, torch.tensor(2.0)):
        check_temperature(temperature)
    for temperature in (0, -1.0, NAN, INF):
        refuses(
            check_temperature,
            temperature,
            match=f"^temperature is {temperature}, expected a finite number above 0$",
        )


def test_choice():
    check_choice("mean", "reduction", ("mean", "sum"))
    refuses(
        check_choice,
        "max",
        "reduction",
        ("mean", "sum"),
        match="^reduction is 'max', expected one of 'mean', 'sum'$",
    )


def test_no_grad():
    check_no_grad(torch.zeros(2), "teacher")
    refuses(
        check_no_grad,
        torch.zeros(2, requires_grad=True),
        "teacher",
        match=r"^teacher requires grad.*torch.no_grad\(\) or pass teacher.detach\(\)$",
    )


@pytest.mark.parametrize("rows", [[[0.25, 0.75]], [[1.0, 0.0], [0.5, 0.5004]], [[1.0]]])
def test_probabilities_pass(rows):
    check_probabilities(torch.tensor(rows), "p")


@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_no_probabilities_pass(shape):
    check_probabilities(torch.zeros(shape), "p")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[-0.5, 1.5]], "the smallest entry is -0.5 and a row sum is off 1 by 0;"),
        ([[0.5, 0.5], [0.5, 0.7]], "the smallest entry is 0.5 and a row sum is off 1 by 0.2;"),
        ([[0.4, 0.4]], "off 1 by 0.2;"),
        ([[NAN, 1.0]], "the smallest entry is nan"),
        ([[INF, 0.0]], "off 1 by inf"),
    ],
)
def test_other_numbers_are_no_probabilities(rows, message):
    refuses(check_probabilities, torch.tensor(rows), "target", match="target must.*" + message)


def test_tolerance_of_probabilities():
    value = torch.tensor([[0.5, 0.49]])
    check_probabilities(value, "p", 0.02)
    refuses(check_probabilities, value, "p", match="apply a softmax first, or pass logits")


@pytest.mark.parametrize("weights", [[1.0, 0.0], [[1.0, 0.0], [0.0, 2.0]], [3.0]])
def test_weights_pass(weights):
    check_weights(torch.tensor(weights))


@pytest.mark.parametrize(
    "weights", [[1.0, -0.1], [0.0, 0.0], [INF, 1.0], [NAN, 1.0], [[1.0, 0.0], [1.0, 0.0]]]
)
def test_other_numbers_are_no_weights(weights):
    refuses(check_weights, torch.tensor(weights), "share", match="^share must be at least 0 with")


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_class_indices_pass(dtype):
    check_class_indices(torch.tensor([0, 2], dtype=dtype), 3)
    check_class_indices(torch.zeros(0, dtype=dtype), 3)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (
            [0.0, 1.0],
            r"^labels has dtype torch.float32, expected integer class indices; use labels",
        ),
        ([True, False], r"^labels has dtype torch.bool"),
        ([0, 3], "^labels holds class indices from 0 to 3, expected 0 to 2; do the labels start"),
        ([-1, 2], "^labels holds class indices from -1 to 2, expected 0 to 2"),
    ],
)
def test_other_targets_are_no_class_indices(target, message):
    refuses(check_class_indices, torch.tensor(target), 3, "labels", match=message)


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (lambda x: check_probabilities(x, "p"), torch.tensor([[0.4, 0.4]])),
        (lambda x: check_weights(x), torch.tensor([[0.0, 0.0]])),
        (lambda x: check_class_indices(x, 3), torch.tensor([[5]])),
    ],
)
def test_values_are_not_looked_at_where_that_would_break_a_graph(check, value):
    """What is refused outside is let through in compiled and mapped functions."""

    def passed(x):
        check(x)
        return x + 1

    refuses(passed, value, match="expected|must")
    assert torch.equal(torch.compile(passed, fullgraph=True, backend="eager")(value), value + 1)
    assert torch.equal(torch.func.vmap(passed)(value), value + 1)


def test_axis():
    for axis in (-2, -1, 0, 1):
        check_axis(torch.zeros(2, 3), axis, "x")
    for axis in (-3, 2):
        message = rf"^axis is {axis} and x has shape \(2, 3\), expected an axis from -2 to 1$"
        refuses(check_axis, torch.zeros(2, 3), axis, "x", match=message)
    refuses(check_axis, torch.tensor(1.0), -1, "x", match="x is a single number")


def test_floating():
    for dtype in (torch.float16, torch.float64):
        check_floating(torch.zeros(2, dtype=dtype), "x")
    for dtype in (torch.int64, torch.bool):
        refuses(check_floating, torch.zeros(2, dtype=dtype), "x", match=f"x has dtype {dtype}.*x.f")


def test_a_temperature_must_have_a_square():
    check_temperature(1e19)
    refuses(check_temperature, 1e20, match="whose square float32 cannot hold; expected at most 1.8")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_probabilities_of_half_precision_pass(dtype):
    for classes in (2, 100, 30_000):
        check_probabilities((4 * torch.randn(20, classes)).softmax(-1).to(dtype), "p")
    refuses(check_probabilities, torch.tensor([[0.5, 0.46]], dtype=dtype), "p", match="off 1 by 0.")


def test_unit_interval():
    check_unit_interval(torch.tensor([0.0, 0.5, 1.0]))
    check_unit_interval(torch.tensor([0, 1]), whole=True)
    check_unit_interval(torch.zeros(0))
    refuses(check_unit_interval, torch.tensor([0, 7]), match="^target holds values from 0 to 7")
    with pytest.raises(ArgumentError, match="expected 0 or 1"):
        check_unit_interval(torch.tensor([0.5, 1.0]), whole=True)
