"""Projectors fit the shapes they are made for."""

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.networks.projector import projector

KINDS = [
    ((2, 3), (2, 5)),
    ((2, 7, 3), (2, 7, 5)),
    ((2, 3, 4, 4), (2, 5, 4, 4)),
]


@pytest.mark.parametrize(("student", "teacher"), KINDS)
def test_a_projector_gives_the_width_of_the_teacher(student, teacher):
    assert projector(student, teacher)(torch.randn(student)).shape == teacher


def test_shapes_of_different_kinds_are_refused():
    with pytest.raises(ArgumentError, match=r"\(2, 3, 4, 4\) and of the teacher \(2, 5\)"):
        projector((2, 3, 4, 4), (2, 5))
