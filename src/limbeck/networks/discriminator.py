"""A small classifier of logits: do they come from the student or from the teachers?"""

from __future__ import annotations

from torch import Tensor, nn

from limbeck.errors import ArgumentError


class LogitDiscriminator(nn.Module):
    """Three linear layers from C logits to two outputs, each width a share of the one before.

    Args:
        classes: C.
        reduction: r; the widths are C, C // r, C // r // r and 2.
        final_relu: clip the outputs at 0 as well, as the published network does. Its loss then
            never falls below log(2) / 2, and an output that is clipped for all rows learns nothing.

    Raises:
        ArgumentError: r leaves no unit in the second layer.

    Example:
        >>> import torch
        >>> LogitDiscriminator(64)(torch.zeros(5, 64)).shape
        torch.Size([5, 2])

    Source: Shen and Savvides, arXiv 2009.08453 (MEAL V2), and szq0214/MEAL-V2.
    """

    def __init__(self, classes: int, *, reduction: int = 8, final_relu: bool = False) -> None:
        super().__init__()
        if reduction < 1 or classes // reduction // reduction < 1:
            largest = int(max(classes, 0) ** 0.5)
            raise ArgumentError(
                f"reduction is {reduction}: {classes} classes leave {classes} // {reduction} // "
                f"{reduction} units in the second layer; use a reduction from 1 to {largest}"
            )
        self.classes, self.reduction, self.final_relu = classes, reduction, final_relu
        first = classes // reduction
        second = first // reduction
        self.layers = nn.Sequential(
            nn.Linear(classes, first),
            nn.ReLU(),
            nn.Linear(first, second),
            nn.ReLU(),
            nn.Linear(second, 2),
        )
        if final_relu:
            self.layers.append(nn.ReLU())

    def forward(self, logits: Tensor) -> Tensor:
        """Return two outputs for each row of logits ``(N, C)``: student and teacher, ``(N, 2)``.

        Raises:
            ArgumentError: there are not C logits a row.
        """
        if logits.shape[-1:] != (self.classes,):
            raise ArgumentError(
                f"logits has shape {tuple(logits.shape)}, expected (N, {self.classes}): the "
                "discriminator is made for as many classes"
            )
        return self.layers(logits)

    def extra_repr(self) -> str:
        return f"classes={self.classes}, reduction={self.reduction}, final_relu={self.final_relu}"
