"""Noise: unit normal numbers looked up by key and sample, whatever the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed

# Half of the smallest step between the uniform numbers: it keeps them off 0.
HALF_STEP = 2.0**-54


def unit_noise(key: int, ids: Sequence[int] | np.ndarray, shape: Sequence[int]) -> Tensor:
    """Draw noise that depends on the key and on each sample's id alone.

    The numbers of sample 7 are the same in a batch of 8 as in one of 64, and on every device.

    Args:
        key: from `limbeck.keyed.key`.
        ids: of the samples, ``(N,)``.
        shape: of one sample.

    Returns:
        ``(N, *shape)``, float32 on the CPU.

    Example:
        >>> many, one = unit_noise(3, range(4), (2,)), unit_noise(3, [2], (2,))
        >>> bool((many[2] == one[0]).all()), many.shape
        (True, torch.Size([4, 2]))
    """
    shares = keyed.uniform(key, np.asarray(ids, dtype=np.int64), math.prod(shape))
    normal = torch.special.ndtri(torch.from_numpy(shares + HALF_STEP))
    return normal.float().reshape(-1, *shape)
