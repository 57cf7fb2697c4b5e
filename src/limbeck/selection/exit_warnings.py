"""Exit warnings: what of a calibration ran and is probably not meant, in words."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from limbeck.errors import UnusualUseWarning
from limbeck.functional.cascades import in_window, window_levels
from limbeck.functional.columns import Values, column

if TYPE_CHECKING:
    from limbeck.selection.exits import Exits

# How far the share of samples in a window may be from the wanted one: what a quantile that falls
# between two samples leaves of it is far less, unless confidences are equal.
SLACK = 0.05


def warn_of(texts: Iterable[str], stacklevel: int = 3) -> None:
    """Warn of each.

    Args:
        texts: what to say.
        stacklevel: whose line is named; by default that of whoever called the caller.
    """
    for text in texts:
        warnings.warn(text, UnusualUseWarning, stacklevel=stacklevel)


def about_members(said: Tensor) -> list[str]:
    """Stages that add nothing.

    Args:
        said: what each says by itself, ``(S, N, C)``.
    """
    told = []
    for place, one in enumerate(said):
        if len(one) > 1 and bool((one == one[0]).all()):
            told.append(
                f"stage {place} says the same about all {len(one)} validation samples: it was "
                "kept, and neither tells samples apart nor adds anything; leave it out"
            )
            continue
        twin = next((k for k in range(place) if bool((said[k] == one).all())), None)
        if twin is not None:
            told.append(
                f"stages {twin} and {place} say the same about all {len(one)} validation samples: "
                "both were kept, and the second costs without adding anything; leave it out"
            )
    return told


def about_targets(first: Tensor, truth: Tensor) -> list[str]:
    """Validation samples that tell little.

    Args:
        first: what the first stage says, ``(N, C)``; windows were chosen on it.
        truth: class indices ``(N,)``.
    """
    told = []
    if bool((truth == truth[0]).all()):
        told.append(
            f"all {len(truth)} validation samples are of class {int(truth[0])}: windows were "
            "chosen on it alone and say nothing of others; give samples of every class"
        )
    if bool((first.argmax(-1) == truth).all()):
        told.append(
            f"the first stage is right about all {len(truth)} validation samples: windows were "
            "chosen on its confidence all the same; were members fitted on these samples?"
        )
    return told


def about_acceptance(right: Tensor, acceptance: float) -> list[str]:
    """A threshold of acceptance that no risk decides.

    Args:
        right: whether the cascade as a whole is, ``(N,)``.
        acceptance: the threshold that was taken.
    """
    if not bool(right.all()):
        return []
    return [
        f"the cascade as a whole is right about all {len(right)} validation samples, so that every "
        "threshold of acceptance meets the risk: the least of their confidences was taken, "
        f"{acceptance:.4g}, and all like them are accepted; were members fitted on these samples?"
    ]


def about_traffic(
    exits: Exits, confidences: Sequence[Values] | Tensor | np.ndarray, samples: str
) -> list[str]:
    """Windows that hold another share of the samples than was wanted, as where many are tied.

    Args:
        exits: with the windows that were placed on these samples.
        confidences: of every stage but the last, ``(S - 1, N)``.
        samples: what to call them.
    """
    told = []
    placed = zip(exits.windows, exits.thresholds, exits.half_widths, strict=True)
    for stage, (window, threshold, half_width) in enumerate(placed):
        confidence = column(confidences[stage], "confidences")
        low, high = window_levels(confidence, threshold, half_width=half_width)
        share = float(in_window(confidence, window).double().mean())
        if abs(share - (high - low)) <= SLACK + 2 / len(confidence):
            continue
        told.append(
            f"{share:.0%} of the {samples} lie in the window of stage {stage}, where "
            f"{high - low:.0%} were wanted: there are {len(confidence.unique())} different "
            f"confidences among {len(confidence)}, and equal ones go on together. Take a score "
            "that tells them apart, such as 'entropy', or 'energy' where stages say logits; "
            "members whose probabilities are not all near 1 or alike; or a smaller half_width"
        )
    return told
