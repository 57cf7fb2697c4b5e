"""ResNets for small images: of 18 and 50 layers, and of any number of blocks.

A halving that would leave single pixels is left out, because over one pixel an instance norm gives
its bias whatever comes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from limbeck.checks import check_choice
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.networks.convnet import Size, normalisation
from limbeck.networks.headed import Headed, image_shape
from limbeck.networks.stem import POOLED, behind_stem, check_cut, first_convolution, scaled

NORMS = ("instance", "batch")
STAGES = (64, 128, 256, 512)
MULTIPLE, LEAST = 8, 2


class ResNet18(Headed):
    """Eight residual blocks of two 3x3 convolutions, without pooling at the start.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 2 behind the stem.
        outputs: numbers that come out.
        norm: ``"instance"`` or ``"batch"``.
        averaging: halve by averages of 2x2 instead of strides, and give all pixels of the last
            block to the linear layer instead of their mean.
        width_multiplier: of the channels of all stages, 64 to 512; they are rounded to multiples
            of 8 as `limbeck.networks.stem.scaled` does.
        stem_stride: 1 or 2 for a 3x3 convolution of that stride, 4 for the published stem, a 7x7
            convolution of stride 2 and a max-pool.

    Raises:
        ArgumentError: images are too small, or an option has a value outside its range.

    Example:
        >>> sum(one.numel() for one in ResNet18(3, (32, 32), 10).parameters())
        11173962
        >>> sum(one.numel() for one in ResNet18(3, (32, 32), 10, averaging=True).parameters())
        11250762

    Source: He, Zhang, Ren and Sun, arXiv 1512.03385, in the form of VICO-UoE/DatasetCondensation.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        outputs: int,
        *,
        norm: str = "instance",
        averaging: bool = False,
        width_multiplier: float = 1.0,
        stem_stride: int = 1,
    ) -> None:
        check_choice(norm, "norm", NORMS)
        check_cut("resnet18", size, width_multiplier, stem_stride, least=LEAST)
        widths = scaled(STAGES, width_multiplier, MULTIPLE)
        layers = _stem(channels, widths[0], size, norm, stem_stride)
        block = partial(_Block, averaging=averaging)
        inner = behind_stem(size, stem_stride)
        blocks, wide, inner = _stages(block, (2, 2, 2, 2), widths, inner, norm, averaging)
        layers += blocks
        if not averaging:
            layers.append(nn.AdaptiveAvgPool2d(1))
        pixels = inner[0] * inner[1] if averaging else 1
        super().__init__(nn.Sequential(*layers), nn.Linear(wide * pixels, outputs))


class ResNet50(Headed):
    """Sixteen residual blocks of a 3x3 convolution between two of 1x1.

    A block has four times as many channels outside as inside.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 2 behind the stem.
        outputs: numbers that come out.
        norm: ``"instance"`` or ``"batch"``.
        width_multiplier: of the channels of the stem and inside the blocks, 64 to 512; they are
            rounded to multiples of 8 as `limbeck.networks.stem.scaled` does.
        stem_stride: 1 or 2 for a 3x3 convolution of that stride, 4 for the published stem, a 7x7
            convolution of stride 2 and a max-pool.

    Raises:
        ArgumentError: images are too small, or an option has a value outside its range.

    Example:
        >>> network = ResNet50(3, (32, 32), 10, width_multiplier=0.25)
        >>> sum(one.numel() for one in network.parameters())
        1484186

    Source: He, Zhang, Ren and Sun, arXiv 1512.03385; the 3x3 convolution of a block halves, as in
    torchvision, and not the first one.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        outputs: int,
        *,
        norm: str = "batch",
        width_multiplier: float = 1.0,
        stem_stride: int = 1,
    ) -> None:
        check_choice(norm, "norm", NORMS)
        check_cut("resnet50", size, width_multiplier, stem_stride, least=LEAST)
        widths = scaled(STAGES, width_multiplier, MULTIPLE)
        layers = _stem(channels, widths[0], size, norm, stem_stride)
        inner = behind_stem(size, stem_stride)
        blocks, wide, _ = _stages(_Bottleneck, (3, 4, 6, 3), widths, inner, norm)
        features = nn.Sequential(*layers, *blocks, nn.AdaptiveAvgPool2d(1))
        super().__init__(features, nn.Linear(wide, outputs))


class ResNet(Headed):
    """Stages of residual blocks of two 3x3 convolutions, as many in each as is told.

    Behind the stem the first stage keeps the size; each of the others halves it and doubles the
    channels. Blocks of (9, 9, 9) with width 16 are ResNet-56, of (18, 18, 18) ResNet-110; of
    (3, 4, 6, 3) with width 64 and a stem of stride 4 ResNet-34.

    Args:
        channels: of the image.
        size: H and W in pixels, at least 2 behind the stem.
        outputs: numbers that come out.
        blocks: of each stage.
        width: channels of the stem and of the first stage.
        norm: ``"instance"`` or ``"batch"``.
        stem_stride: 1 or 2 for a 3x3 convolution of that stride, 4 for a 7x7 convolution of
            stride 2 and a max-pool.

    Raises:
        ArgumentError: images are too small, or an option has a value outside its range.

    Example:
        >>> network = ResNet(3, (32, 32), 10, blocks=(9, 9, 9))
        >>> sum(one.numel() for one in network.parameters())
        855770

    Source: He, Zhang, Ren and Sun, arXiv 1512.03385, section 4.2; shortcuts between stages are 1x1
    convolutions, as in the networks of the contrastive representation distillation benchmark.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        outputs: int,
        *,
        blocks: Sequence[int] = (9, 9, 9),
        width: int = 16,
        norm: str = "batch",
        stem_stride: int = 1,
    ) -> None:
        check_choice(norm, "norm", NORMS)
        if not blocks or not all(type(one) is int and one > 0 for one in blocks):
            raise ArgumentError(f"blocks is {blocks!r}, expected a number above 0 for each stage")
        if type(width) is not int or width < 1:
            raise ArgumentError(f"width is {width!r}, expected a whole number of channels")
        check_cut("resnet", size, 1.0, stem_stride, least=LEAST)
        widths = [width * 2**stage for stage in range(len(blocks))]
        layers = _stem(channels, width, size, norm, stem_stride)
        block = partial(_Block, averaging=False)
        inner = behind_stem(size, stem_stride)
        made, wide, _ = _stages(block, blocks, widths, inner, norm)
        super().__init__(
            nn.Sequential(*layers, *made, nn.AdaptiveAvgPool2d(1)), nn.Linear(wide, outputs)
        )


class _Block(nn.Module):
    """Two convolutions beside a shortcut; `halve` by a stride or by averages."""

    def __init__(
        self, channels: int, width: int, size: Size, norm: str, halve: bool, averaging: bool
    ) -> None:
        super().__init__()
        stride = 2 if halve and not averaging else 1
        averages = halve and averaging
        self.channels = width
        self.inner = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            normalisation(norm, width, size),
            nn.ReLU(),
            nn.AvgPool2d(2) if averages else nn.Identity(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            normalisation(norm, width, size),
        )
        self.shortcut: nn.Module = nn.Identity()
        # A narrow network can have two stages of the same width.
        if channels != width or halve:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride=stride, bias=False),
                nn.AvgPool2d(2) if averages else nn.Identity(),
                normalisation(norm, width, size),
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner(x) + self.shortcut(x)).relu()


class _Bottleneck(nn.Module):
    """Three convolutions beside a shortcut: to few channels, over pixels, to many channels."""

    def __init__(self, channels: int, width: int, size: Size, norm: str, halve: bool) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.channels = wide = 4 * width
        self.inner = nn.Sequential(
            nn.Conv2d(channels, width, 1, bias=False),
            normalisation(norm, width, size),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False),
            normalisation(norm, width, size),
            nn.ReLU(),
            nn.Conv2d(width, wide, 1, bias=False),
            normalisation(norm, wide, size),
        )
        self.shortcut: nn.Module = nn.Identity()
        if channels != wide or halve:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, wide, 1, stride=stride, bias=False),
                normalisation(norm, wide, size),
            )

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner(x) + self.shortcut(x)).relu()


def _stem(channels: int, wide: int, size: Size, norm: str, stem_stride: int) -> list[nn.Module]:
    layers: list[nn.Module] = [
        first_convolution(channels, wide, stem_stride, pooled_kernel=7),
        normalisation(norm, wide, size),
        nn.ReLU(),
    ]
    return [*layers, nn.MaxPool2d(3, 2, padding=1)] if stem_stride == POOLED else layers


def _stages(
    block: Callable[..., _Block | _Bottleneck],
    depths: Sequence[int],
    widths: Sequence[int],
    size: Size,
    norm: str,
    averaging: bool = False,
) -> tuple[list[nn.Module], int, Size]:
    """All blocks, and the channels and the size that come out of the last."""
    blocks: list[nn.Module] = []
    wide = widths[0]
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        # Averages of 2x2 leave a last odd row out; a stride of 2 begins with it.
        odd = 0 if averaging else 1
        halved = ((size[0] + odd) // 2, (size[1] + odd) // 2)
        halve = stage > 0 and min(halved) > 1
        size = halved if halve else size
        for number in range(depth):
            one = block(wide, width, size, norm, halve and number == 0)
            blocks.append(one)
            wide = one.channels
    return blocks, wide, size


def _resnet(
    space: InputSpace,
    outputs: int,
    *,
    blocks: str | int = "9x9x9",
    width: int = 16,
    norm: str = "batch",
    stem_stride: int = 1,
) -> nn.Module:
    words = str(blocks).split("x")
    if not all(word.isdecimal() for word in words):
        raise ArgumentError(
            f"blocks is {blocks!r}, expected a number for each stage, such as 9x9x9"
        )
    return ResNet(
        *image_shape(space, "resnet"),
        outputs,
        blocks=[int(word) for word in words],
        width=width,
        norm=norm,
        stem_stride=stem_stride,
    )


RESNETS: dict[str, Callable[..., nn.Module]] = {"resnet": _resnet}
