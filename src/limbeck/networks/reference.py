"""Reference networks: what sets distilled with one network are tried on.

Their published forms are for 32 pixels. Here other sizes work too: the last layer takes what the
features give, and a halving that would leave single pixels before a normalisation is left out,
because over one pixel an instance norm gives its bias whatever comes in.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from limbeck.checks import check_choice
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.convnet import Size, normalisation
from limbeck.networks.headed import Headed, first_padding, image_shape
from limbeck.networks.resnet import NORMS, ResNet18

VGG11_STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


class LeNet(Headed):
    """Two 5x5 convolutions with max pooling, and three linear layers.

    Images below 32 pixels are padded by 2 at first, as published for grey ones of 28.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 12.
        outputs: numbers that come out.

    Raises:
        ArgumentError: images are too small.

    Example:
        >>> sum(one.numel() for one in LeNet(3, (32, 32), 10).parameters())
        62006

    Source: LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 1998, in the form of
    VICO-UoE/DatasetCondensation.
    """

    def __init__(self, channels: int, size: Size, outputs: int) -> None:
        _check_side(size, 12, "lenet")
        padding = 2 if min(size) < 32 else 0
        left = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in size]
        features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * left[0] * left[1], 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
        )
        super().__init__(features, nn.Linear(84, outputs))


class AlexNet(Headed):
    """Five convolutions, three max poolings, one linear layer, no normalisation.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 8.
        outputs: numbers that come out.

    Raises:
        ArgumentError: images are too small.

    Example:
        >>> sum(one.numel() for one in AlexNet(3, (32, 32), 10).parameters())
        1872202

    Source: Krizhevsky, Sutskever and Hinton, NeurIPS 2012, in the form of
    VICO-UoE/DatasetCondensation.
    """

    def __init__(self, channels: int, size: Size, outputs: int) -> None:
        _check_side(size, 8, "alexnet")
        padding = first_padding(channels, size, 2)
        left = [(side + 2 * padding - 4) // 8 for side in size]
        layers: list[nn.Module] = []
        stages = ((128, 5, True), (192, 5, True), (256, 3, False), (192, 3, False), (192, 3, True))
        for wide, kernel, pooled in stages:
            layers += [nn.Conv2d(channels, wide, kernel, padding=padding), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if pooled else []
            channels, padding = wide, 2 if wide == 128 else 1
        head = nn.Linear(channels * left[0] * left[1], outputs)
        super().__init__(nn.Sequential(*layers), head)


class VGG11(Headed):
    """Eight 3x3 convolutions in five stages with max pooling, one linear layer.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 2.
        outputs: numbers that come out.
        norm: ``"instance"`` or ``"batch"``.

    Raises:
        ArgumentError: images are too small, or the norm is unknown.

    Example:
        >>> sum(one.numel() for one in VGG11(3, (32, 32), 10).parameters())
        9231114

    Source: Simonyan and Zisserman, arXiv 1409.1556, in the form of VICO-UoE/DatasetCondensation.
    """

    def __init__(self, channels: int, size: Size, outputs: int, *, norm: str = "instance") -> None:
        check_choice(norm, "norm", NORMS)
        _check_side(size, 2, "vgg11")
        padding = first_padding(channels, size, 1)
        size = (size[0] + 2 * padding - 2, size[1] + 2 * padding - 2)
        layers: list[nn.Module] = []
        for number, widths in enumerate(VGG11_STAGES, 1):
            for wide in widths:
                layers += [
                    nn.Conv2d(channels, wide, 3, padding=padding),
                    normalisation(norm, wide, size),
                    nn.ReLU(),
                ]
                channels, padding = wide, 1
            if min(size) >= (2 if number == len(VGG11_STAGES) else 4):
                layers.append(nn.MaxPool2d(2))
                size = (size[0] // 2, size[1] // 2)
        super().__init__(nn.Sequential(*layers), nn.Linear(channels * size[0] * size[1], outputs))


def _check_side(size: Size, least: int, name: str) -> None:
    if min(size) < least:
        raise ArgumentError(
            f"{name} takes images of at least {least}x{least} pixels and these have "
            f"{size[0]}x{size[1]}; use convnet or mlp"
        )


def _lenet(space: InputSpace, outputs: int) -> nn.Module:
    return LeNet(*image_shape(space, "lenet"), outputs)


def _alexnet(space: InputSpace, outputs: int) -> nn.Module:
    return AlexNet(*image_shape(space, "alexnet"), outputs)


def _vgg11(space: InputSpace, outputs: int, *, norm: str = "instance") -> nn.Module:
    return VGG11(*image_shape(space, "vgg11"), outputs, norm=norm)


def _resnet18(
    space: InputSpace,
    outputs: int,
    *,
    norm: str = "instance",
    width_multiplier: float = 1.0,
    stem_stride: int = 1,
) -> nn.Module:
    return ResNet18(
        *image_shape(space, "resnet18"),
        outputs,
        norm=norm,
        width_multiplier=width_multiplier,
        stem_stride=stem_stride,
    )


def _resnet18_ap(space: InputSpace, outputs: int, *, norm: str = "instance") -> nn.Module:
    return ResNet18(*image_shape(space, "resnet18-ap"), outputs, norm=norm, averaging=True)


REFERENCES: dict[str, Callable[..., nn.Module]] = {
    "lenet": _lenet,
    "alexnet": _alexnet,
    "vgg11": _vgg11,
    "resnet18": _resnet18,
    "resnet18-ap": _resnet18_ap,
}
