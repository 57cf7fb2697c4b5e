"""Projector: brings features of a student to the width of a teacher's."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from limbeck.errors import ArgumentError


def projector(student: Sequence[int], teacher: Sequence[int]) -> nn.Module:
    """Make the linear map between two shapes of features.

    Vectors ``(N, D)`` and tokens ``(N, T, D)`` are mapped along their last axis, images
    ``(N, D, H, W)`` pixel by pixel.

    Args:
        student: shape of what comes in, N first.
        teacher: shape of what it is compared with.

    Returns:
        A module with weights of its own.

    Raises:
        ArgumentError: the shapes are of different kinds.

    Example:
        >>> projector((2, 8, 4, 4), (2, 16, 4, 4))
        Conv2d(8, 16, kernel_size=(1, 1), stride=(1, 1))
    """
    if len(student) != len(teacher) or len(student) not in (2, 3, 4):
        raise ArgumentError(
            f"features of the student are {tuple(student)} and of the teacher {tuple(teacher)}; a "
            "projector maps vectors (N, D), tokens (N, T, D) or images (N, D, H, W) to the same "
            "kind: name other modules, or pool one of them"
        )
    if len(student) == 4:
        return nn.Conv2d(student[1], teacher[1], 1)
    return nn.Linear(student[-1], teacher[-1])
