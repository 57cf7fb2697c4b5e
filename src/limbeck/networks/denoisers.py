"""Denoisers by name: a residual perceptron for vectors and the U-Net of diffusers for images."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError
from limbeck.functional.diffusion import Prediction
from limbeck.networks.denoiser import Denoiser
from limbeck.networks.headed import image_shape
from limbeck.networks.making import library, made
from limbeck.networks.noise_schedule import NoiseSchedule, Units

# What a network says best under each kind of schedule. Under vp hardly any sample is left at t = 1,
# and a sample read off the noise would be 150 times as wrong; that of edm is preconditioned.
USUAL: dict[str, Prediction] = {"flow": "flow", "vp": "v", "edm": "x0"}
# Time features turn by 1 to this many radians from level 0 to 1.
FASTEST = 100.0
GROUP = 8


class TimeFeatures(nn.Module):
    """Sines and cosines of time, at frequencies evenly spread by their logarithm.

    Args:
        count: how many features come out, even.

    Example:
        >>> TimeFeatures(4)(torch.zeros(1)).tolist()
        [[0.0, 0.0, 1.0, 1.0]]
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        if type(count) is not int or count < 2 or count % 2:
            raise ArgumentError(f"features is {count!r}, expected an even number of at least 2")
        self.count = count

    def forward(self, time: Tensor) -> Tensor:
        """Map times ``(N,)`` to features ``(N, count)``."""
        powers = torch.linspace(0, 1, self.count // 2, dtype=time.dtype, device=time.device)
        angles = time[:, None] * FASTEST**powers
        return torch.cat([angles.sin(), angles.cos()], 1)

    def extra_repr(self) -> str:
        return str(self.count)


class DenoisingMLP(nn.Module):
    """A residual perceptron over flattened samples; time and class are added before each block.

    Args:
        shape: of one sample.
        width: of the hidden layers.
        depth: residual blocks of two layers.
        features: of time.
        conditions: classes; a null condition is put behind them. 0 for none.

    Example:
        >>> network = DenoisingMLP((2,), width=8, depth=1, conditions=3)
        >>> network(torch.zeros(5, 2), torch.zeros(5), torch.full((5,), 3)).shape
        torch.Size([5, 2])
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        width: int = 128,
        depth: int = 3,
        features: int = 32,
        conditions: int = 0,
    ) -> None:
        super().__init__()
        numbers = math.prod(shape)
        self.input = nn.Linear(numbers, width)
        self.time = nn.Sequential(
            TimeFeatures(features), nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.condition = nn.Embedding(conditions + 1, width) if conditions else None
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(depth)
        )
        self.output = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, numbers))

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map samples ``(N, ...)``, times and classes ``(N,)`` to numbers ``(N, ...)``."""
        hidden = self.input(x.flatten(1))
        # Half precision cannot tell such angles apart.
        features = self.time[0](time.to(torch.promote_types(x.dtype, torch.float32)))
        told = self.time[1:](features.to(x.dtype))
        if self.condition is not None:
            told = told + self.condition(condition)
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden + told))
        return self.output(hidden).reshape(x.shape)


class DiffusersNetwork(nn.Module):
    """A model of diffusers that takes class labels, called as a `Denoiser` calls its network.

    Args:
        model: called with samples, time steps and ``class_labels``; where it also says variances,
            as channels behind the others, those are left out.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map images ``(N, C, H, W)``, time steps and classes ``(N,)`` to ``(N, C, H, W)``."""
        said = self.model(x, time, class_labels=condition, return_dict=False)[0]
        return said[:, : x.shape[1]]


def denoiser_mlp(
    space: InputSpace,
    outputs: int,
    *,
    width: int = 128,
    depth: int = 3,
    features: int = 32,
    prediction: str | None = None,
    schedule: str = "flow",
    shift: float = 1.0,
    sigma_data: float = 0.5,
) -> nn.Module:
    """Make a denoiser for vectors, or for flattened images.

    Args:
        space: of the samples.
        outputs: classes; one class is no condition.
        width: of the hidden layers.
        depth: residual blocks.
        features: of time, even.
        prediction: what the network says; ``flow``, ``eps``, ``x0``, ``v`` or ``score``; usually
            the flow under ``flow``, v under ``vp``, and under ``edm`` x0, preconditioned.
        schedule: ``flow``, ``vp`` or ``edm``.
        shift: of flow matching.
        sigma_data: standard deviation of the data, for the preconditioning.

    Returns:
        The denoiser.

    Raises:
        ArgumentError: an option is unknown or outside its range.

    Example:
        >>> denoiser = denoiser_mlp(InputSpace((2,)), 2, width=8)
        >>> denoiser.null, denoiser.predict(torch.zeros(3, 2), 0.5).shape
        (2, torch.Size([3, 2]))
    """
    _check_whole(width=width, depth=depth)
    conditions = outputs if outputs > 1 else 0
    network = DenoisingMLP(
        space.shape, width=width, depth=depth, features=features, conditions=conditions
    )
    return _denoiser(
        network, space, conditions, schedule, prediction, shift, sigma_data, units="unit"
    )


def denoiser_unet(
    space: InputSpace,
    outputs: int,
    *,
    widths: str | int = "16x32",
    layers_per_block: int = 1,
    attention: bool = False,
    prediction: str | None = None,
    schedule: str = "flow",
    shift: float = 1.0,
    sigma_data: float = 0.5,
) -> nn.Module:
    """Make a denoiser for images: the `UNet2DModel` of diffusers, with attention at its bottom.

    Args:
        space: of the images; their sides must be divisible by 2 for every width but the first.
        outputs: classes; one class is no condition.
        widths: channels at each size, such as ``16x32``, multiples of 8; sizes halve in between.
        layers_per_block: residual layers at each size.
        attention: whether the blocks at the smallest size have attention too.
        prediction: as in `denoiser_mlp`.
        schedule: as in `denoiser_mlp`.
        shift: as in `denoiser_mlp`.
        sigma_data: as in `denoiser_mlp`.

    Returns:
        The denoiser; ``denoiser.network.model`` is the model of diffusers.

    Raises:
        ArgumentError: inputs are no images, or an option is unknown or does not fit them.
        ModelError: diffusers is not installed.
    """
    channels, size = image_shape(space, "denoiser-unet")
    _check_whole(layers_per_block=layers_per_block)
    wide = _widths(widths, size)
    conditions = outputs if outputs > 1 else 0
    bottom = "AttnDownBlock2D" if attention else "DownBlock2D"
    top = "AttnUpBlock2D" if attention else "UpBlock2D"
    fewer = len(wide) - 1
    diffusers = library("diffusers", "diffusion")
    model = made(
        "denoiser-unet",
        lambda: diffusers.UNet2DModel(
            sample_size=size,
            in_channels=channels,
            out_channels=channels,
            block_out_channels=wide,
            down_block_types=("DownBlock2D",) * fewer + (bottom,),
            up_block_types=(top,) + ("UpBlock2D",) * fewer,
            layers_per_block=layers_per_block,
            norm_num_groups=GROUP,
            num_class_embeds=conditions + 1 if conditions else None,
        ),
    )
    network = DiffusersNetwork(model)
    return _denoiser(
        network, space, conditions, schedule, prediction, shift, sigma_data, units="steps"
    )


def _denoiser(
    network: nn.Module,
    space: InputSpace,
    conditions: int,
    kind: str,
    prediction: str | None,
    shift: float,
    sigma_data: float,
    units: Units,
) -> Denoiser:
    schedule = NoiseSchedule(kind=kind, shift=shift, units=units)  # type: ignore[arg-type]
    said: Any = USUAL[schedule.kind] if prediction is None else prediction
    preconditioned = schedule.kind == "edm" and said == "x0"
    return Denoiser(
        network,
        schedule,
        prediction=said,
        shape=space.shape,
        conditions=conditions,
        precondition=sigma_data if preconditioned else None,
    )


def _widths(widths: str | int, size: tuple[int, int]) -> tuple[int, ...]:
    words = str(widths).split("x")
    if not all(word.isdigit() and int(word) and int(word) % GROUP == 0 for word in words):
        raise ArgumentError(
            f"widths is {widths!r}, expected multiples of {GROUP} such as 16x32, one a size"
        )
    part = 2 ** (len(words) - 1)
    if any(side % part for side in size):
        raise ArgumentError(
            f"widths is {widths!r}, which halves images {len(words) - 1} times, and their sides of "
            f"{size[0]} and {size[1]} pixels are not divisible by {part}; use fewer widths, or "
            "resize the data with size="
        )
    return tuple(map(int, words))


def _check_whole(**options: int) -> None:
    for name, value in options.items():
        if type(value) is not int or value < 1:
            raise ArgumentError(f"{name} is {value!r}, expected a whole number of at least 1")


DENOISERS: dict[str, Callable[..., nn.Module]] = {
    "denoiser-mlp": denoiser_mlp,
    "denoiser-unet": denoiser_unet,
}
