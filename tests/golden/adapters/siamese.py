"""The operations of differentiable siamese augmentation."""

from __future__ import annotations

from limbeck.functional import siamese

from ..harness import adapter

STEM = "_dataset-distillation-protocol"


def draws(inputs, params, *names):
    """Numbers of every image, or those of the first for all."""
    return [inputs[name][:1] if params["siamese"] else inputs[name] for name in names]


@adapter(STEM, "dsa_brightness")
def dsa_brightness(inputs, params):
    return {"y": siamese.brightness(inputs["x"], *draws(inputs, params, "u"))}


@adapter(STEM, "dsa_saturation")
def dsa_saturation(inputs, params):
    return {"y": siamese.saturation(inputs["x"], *draws(inputs, params, "u"))}


@adapter(STEM, "dsa_contrast")
def dsa_contrast(inputs, params):
    return {"y": siamese.contrast(inputs["x"], *draws(inputs, params, "u"))}


@adapter(STEM, "dsa_flip")
def dsa_flip(inputs, params):
    return {"y": siamese.flip(inputs["x"], *draws(inputs, params, "u"))}


@adapter(STEM, "dsa_crop")
def dsa_crop(inputs, params):
    return {"y": siamese.crop(inputs["x"], *draws(inputs, params, "tx", "ty"))}


@adapter(STEM, "dsa_cutout")
def dsa_cutout(inputs, params):
    return {"y": siamese.cutout(inputs["x"], *draws(inputs, params, "ox", "oy"))}


@adapter(STEM, "dsa_scale")
def dsa_scale(inputs, params):
    low = 1 / siamese.ZOOM
    factors = (low + u * (siamese.ZOOM - low) for u in draws(inputs, params, "u_x", "u_y"))
    return {"y": siamese.scale(inputs["x"], *factors)}


@adapter(STEM, "dsa_rotate")
def dsa_rotate(inputs, params):
    (u,) = draws(inputs, params, "u")
    return {"y": siamese.rotate(inputs["x"], (u - 0.5) * 2 * siamese.DEGREES)}
