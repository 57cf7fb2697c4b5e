"""Families: networks published for large images, cut in width and begun for small ones.

All have batch normalisation and the options `width_multiplier` and `stem_stride`. Their blocks are
torchvision's; the stem is made here, for images of any number of channels. At the stride that a
family was published with (2 for MobileNetV2, 4 for the others) and a multiplier of 1 they have the
published numbers of parameters.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from limbeck.data.space import InputSpace
from limbeck.networks.headed import Headed, image_shape
from limbeck.networks.making import library
from limbeck.networks.resnet import ResNet50
from limbeck.networks.stem import POOLED, check_cut, first_convolution, scaled

SHUFFLENET_CHANNELS = (24, 116, 232, 464, 1024)
SHUFFLENET_REPEATS = (4, 8, 4)
DENSENET_GROWTH = 32


def mobilenet_v2(
    space: InputSpace, outputs: int, *, width_multiplier: float = 1.0, stem_stride: int = 1
) -> nn.Module:
    """Make a MobileNetV2: inverted residual blocks of depthwise convolutions.

    It halves four times behind the stem, and has dropout of 0.2 before the linear layer.

    Args:
        space: of the images; sides of at least 9 pixels, 17 with a stride of 2.
        outputs: numbers that come out.
        width_multiplier: of all channels; they are rounded to multiples of 8 as published, and the
            last 1280 are not made fewer.
        stem_stride: 1 or 2 for a 3x3 convolution of that stride; 2 is published. The family has no
            max-pool, so there is no 4.

    Returns:
        The network.

    Raises:
        ArgumentError: inputs are no images or too small, or an option has a value outside its
            range.
        ModelError: torchvision is not installed.

    Source: Sandler, Howard, Zhu, Zhmoginov and Chen, arXiv 1801.04381, table 2.
    """
    name = "mobilenet-v2"
    channels, size = image_shape(space, name)
    check_cut(name, size, width_multiplier, stem_stride, least=9, pools=False)
    kind = library("torchvision").models.MobileNetV2
    whole = kind(num_classes=outputs, width_mult=width_multiplier)
    begin = whole.features[0]
    begin[0] = first_convolution(channels, begin[0].out_channels, stem_stride)
    nn.init.kaiming_normal_(begin[0].weight, mode="fan_out")
    dropout, head = whole.classifier
    return _headed(head, whole.features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), dropout)


def shufflenet_v2(
    space: InputSpace, outputs: int, *, width_multiplier: float = 1.0, stem_stride: int = 1
) -> nn.Module:
    """Make a ShuffleNetV2: blocks that leave half of the channels alone and shuffle the halves.

    It halves three times behind the stem.

    Args:
        space: of the images; sides of at least 5 pixels, 9 and 17 with a stride of 2 and 4.
        outputs: numbers that come out.
        width_multiplier: of all channels, 24 of the stem, 116, 232 and 464 of the stages and 1024
            of the last convolution; they are rounded to even numbers as
            `limbeck.networks.stem.scaled` does. The published x0.5, x1.5 and x2.0 have widths of
            their own, such as 24, 48, 96, 192 and 1024 at x0.5; take those from torchvision, as
            ``torchvision:shufflenet_v2_x0_5``.
        stem_stride: 1 or 2 for a 3x3 convolution of that stride, 4 for the published stem, one of
            stride 2 and a max-pool.

    Returns:
        The network.

    Raises:
        ArgumentError: inputs are no images or too small, or an option has a value outside its
            range.
        ModelError: torchvision is not installed.

    Source: Ma, Zhang, Zheng and Sun, arXiv 1807.11164, table 5.
    """
    name = "shufflenet-v2"
    channels, size = image_shape(space, name)
    check_cut(name, size, width_multiplier, stem_stride, least=5)
    kind = library("torchvision").models.ShuffleNetV2
    widths = scaled(SHUFFLENET_CHANNELS, width_multiplier, 2)
    whole = kind(list(SHUFFLENET_REPEATS), widths, num_classes=outputs)
    whole.conv1[0] = first_convolution(channels, widths[0], stem_stride)
    pool = [whole.maxpool] if stem_stride == POOLED else []
    stages = (whole.stage2, whole.stage3, whole.stage4)
    return _headed(whole.fc, whole.conv1, *pool, *stages, whole.conv5, nn.AdaptiveAvgPool2d(1))


def densenet121(
    space: InputSpace, outputs: int, *, width_multiplier: float = 1.0, stem_stride: int = 1
) -> nn.Module:
    """Make a DenseNet of 121 layers: each reads what all layers before it in a block gave.

    It halves three times behind the stem, by averages of 2x2.

    Args:
        space: of the images; sides of at least 8 pixels, 15 and 29 with a stride of 2 and 4.
        outputs: numbers that come out.
        width_multiplier: of the 32 channels that each layer adds, which are rounded to a whole
            number; the stem has twice as many, as published, and all others follow.
        stem_stride: 1 or 2 for a 3x3 convolution of that stride, 4 for the published stem, a 7x7
            convolution of stride 2 and a max-pool.

    Returns:
        The network.

    Raises:
        ArgumentError: inputs are no images or too small, or an option has a value outside its
            range.
        ModelError: torchvision is not installed.

    Source: Huang, Liu, van der Maaten and Weinberger, arXiv 1608.06993, table 1.
    """
    name = "densenet121"
    channels, size = image_shape(space, name)
    check_cut(name, size, width_multiplier, stem_stride, least=8)
    kind = library("torchvision").models.DenseNet
    (growth,) = scaled([DENSENET_GROWTH], width_multiplier, 1)
    whole = kind(growth, (6, 12, 24, 16), num_init_features=2 * growth, num_classes=outputs)
    whole.features.conv0 = first_convolution(channels, 2 * growth, stem_stride, pooled_kernel=7)
    nn.init.kaiming_normal_(whole.features.conv0.weight)
    if stem_stride != POOLED:
        whole.features.pool0 = nn.Identity()
    return _headed(whole.classifier, whole.features, nn.ReLU(), nn.AdaptiveAvgPool2d(1))


def _headed(head: nn.Linear, *features: nn.Module) -> Headed:
    network = Headed(nn.Sequential(*features), head)
    for module in network.modules():
        # What is overwritten in place cannot be tapped as a feature.
        if isinstance(module, (nn.ReLU, nn.ReLU6)):
            module.inplace = False
    return network


def _resnet50(
    space: InputSpace,
    outputs: int,
    *,
    norm: str = "batch",
    width_multiplier: float = 1.0,
    stem_stride: int = 1,
) -> nn.Module:
    return ResNet50(
        *image_shape(space, "resnet50"),
        outputs,
        norm=norm,
        width_multiplier=width_multiplier,
        stem_stride=stem_stride,
    )


FAMILIES: dict[str, Callable[..., nn.Module]] = {
    "resnet50": _resnet50,
    "mobilenet-v2": mobilenet_v2,
    "shufflenet-v2": shufflenet_v2,
    "densenet121": densenet121,
}
