"""Boxes of CutMix, and images mixed from stored draws."""

from __future__ import annotations

from limbeck.functional.mixing import blended, mixing_box, pasted

from ..harness import adapter


@adapter("cda", "cutmix_box")
def cutmix_box(inputs, params):
    size, centre = (params["dim2"], params["dim3"]), (params["cx"], params["cy"])
    rows, columns = mixing_box(params["lam"], size, centre)
    return {"box": [rows.start, columns.start, rows.stop, columns.stop]}


@adapter("cda", "cutmix_replay")
def cutmix_replay(inputs, params):
    top, left, bottom, right = (int(one) for one in inputs["box"])
    box = slice(top, bottom), slice(left, right)
    return {"images": pasted(inputs["images"], inputs["index"].long(), box)}


@adapter("cda", "mixup_replay")
def mixup_replay(inputs, params):
    return {"images": blended(inputs["images"], inputs["index"].long(), params["lam"])}
