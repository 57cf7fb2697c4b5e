"""Boxes of CutMix."""

from __future__ import annotations

import numpy as np

from limbeck.data.mixing import box

from ..harness import adapter


@adapter("cda", "cutmix_box")
def cutmix_box(inputs, params):
    size = params["dim2"], params["dim3"]
    # Half a pixel on, so that the product with the length cannot fall below the pixel.
    centre = np.array([(params["cx"] + 0.5) / size[0], (params["cy"] + 0.5) / size[1]])
    rows, columns = box(params["lam"], size, centre)
    return {"box": [rows.start, columns.start, rows.stop, columns.stop]}
