"""Few steps: the pipeline of an exported generator, for plain diffusers.

limbeck copies this file beside the weights as ``pipeline.py``; it imports torch and diffusers
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import DiffusionPipeline, ImagePipelineOutput
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

OUTPUTS = ("pil", "np", "pt")


class FewStepPipeline(DiffusionPipeline):
    """Images from noise, over the few levels that a generator was made for.

    Args:
        unet: asked at the noisiest levels, or at all where it is alone.
        scheduler: says what noise the networks were trained with; the steps here do not need it.
        unet_2: asked at lower levels.
        unet_3: asked at lower ones yet.
        unet_4: asked at the lowest.
        steps: from the noisiest level on what is needed there: ``time`` as networks are given it,
            the number of the ``expert`` that is asked, ``alpha`` and ``sigma`` of
            x = alpha x0 + sigma noise, and ``input``, ``skip`` and ``out`` of
            x0 = skip x + out network(input x).
        fresh: whether a clean prediction goes to the next level with fresh noise; otherwise with
            the noise that it implies.
        guidance: scale of guidance; 1 is none.
        null_condition: the class under which networks know of none; those below it are classes.
            None where networks take no classes.
    """

    _optional_components = ("scheduler", "unet_2", "unet_3", "unet_4")

    def __init__(
        self,
        unet: Any,
        scheduler: Any = None,
        unet_2: Any = None,
        unet_3: Any = None,
        unet_4: Any = None,
        *,
        steps: Sequence[Mapping[str, float]] = (),
        fresh: bool = True,
        guidance: float = 1.0,
        null_condition: int | None = None,
    ) -> None:
        super().__init__()
        self.register_modules(
            unet=unet, scheduler=scheduler, unet_2=unet_2, unet_3=unet_3, unet_4=unet_4
        )
        self.register_to_config(
            steps=list(steps), fresh=fresh, guidance=guidance, null_condition=null_condition
        )

    @torch.no_grad()
    def __call__(
        self,
        batch_size: int = 1,
        class_labels: int | Sequence[int] | Tensor | None = None,
        generator: torch.Generator | list[torch.Generator] | None = None,
        noise: Sequence[Tensor] | None = None,
        guidance_scale: float | None = None,
        output_type: str = "pil",
        return_dict: bool = True,
    ) -> Any:
        """Make images.

        Args:
            batch_size: N, how many.
            class_labels: a class for all, or N of them; by default classes go round.
            generator: of the noise.
            noise: unit normal noise ``(N, C, H, W)`` in place of the generator's: the one to begin
                with, then one after each step but the last where it is fresh.
            guidance_scale: in place of the one that the generator was made for.
            output_type: ``"pil"``, ``"np"`` ``(N, H, W, C)`` or ``"pt"`` ``(N, C, H, W)``; numbers
                go from 0 to 1.
            return_dict: give them as ``images`` of an output; otherwise in a tuple.

        Returns:
            The images.

        Raises:
            ValueError: classes are asked of networks that take none, or there is no such class,
                number of them, or kind of output.
        """
        if output_type not in OUTPUTS:
            raise ValueError(f"output_type is {output_type!r}, expected one of {OUTPUTS}")
        labels = self._labels(batch_size, class_labels)
        count = batch_size if labels is None else len(labels)
        scale = self.config.guidance if guidance_scale is None else guidance_scale
        steps = self.config.steps
        x = steps[0]["sigma"] * self._noise(0, count, generator, noise)
        for place, step in enumerate(self.progress_bar(steps)):
            x0 = self._clean(x, step, labels, scale)
            if place + 1 < len(steps):
                if self.config.fresh:
                    other = self._noise(place + 1, count, generator, noise)
                else:
                    other = (x - step["alpha"] * x0) / step["sigma"]
                after = steps[place + 1]
                x = after["alpha"] * x0 + after["sigma"] * other
        images: Any = (x0 / 2 + 0.5).clamp(0, 1).cpu()
        if output_type != "pt":
            images = images.permute(0, 2, 3, 1).numpy()
        if output_type == "pil":
            images = self.numpy_to_pil(images)
        return ImagePipelineOutput(images=images) if return_dict else (images,)

    def _clean(
        self, x: Tensor, step: Mapping[str, float], labels: Tensor | None, scale: float
    ) -> Tensor:
        """What the expert of a step takes for the clean images."""
        network = (self.unet, self.unet_2, self.unet_3, self.unet_4)[int(step["expert"])]
        inside, asked = step["input"] * x, labels
        if labels is not None and scale != 1:
            inside = torch.cat([inside, inside])
            asked = torch.cat([labels, torch.full_like(labels, self.config.null_condition)])
        time = torch.full((len(inside),), step["time"], device=x.device)
        said = network(inside.to(network.dtype), time, class_labels=asked, return_dict=False)[0]
        # Behind the channels of the images there may be variances.
        said = said[:, : x.shape[1]].to(x.dtype)
        if len(said) > len(x):
            known, blank = said.chunk(2)
            said = blank + scale * (known - blank)
        return step["skip"] * x + step["out"] * said

    def _noise(
        self, place: int, count: int, generator: Any, given: Sequence[Tensor] | None
    ) -> Tensor:
        """Unit normal noise ``(N, C, H, W)`` of a step."""
        device = self._execution_device
        if given is not None:
            return given[place].to(device)
        size = self.unet.config.sample_size
        sides = (size, size) if isinstance(size, int) else tuple(size)
        shape = (count, self.unet.config.in_channels, *sides)
        return randn_tensor(shape, generator=generator, device=device, dtype=torch.float32)

    def _labels(self, count: int, given: Any) -> Tensor | None:
        """Classes ``(N,)`` where networks take some."""
        classes = self.config.null_condition
        if classes is None:
            if given is not None:
                raise ValueError("class_labels are given and the networks take none; leave it out")
            return None
        labels = torch.arange(count) % classes if given is None else torch.as_tensor(given).long()
        labels = labels.reshape(-1).to(self._execution_device)
        if len(labels) == 1:
            labels = labels.expand(count)
        if count not in (1, len(labels)):
            raise ValueError(
                f"batch_size is {count} and there are {len(labels)} class_labels, expected one "
                "for all, or one an image"
            )
        if not len(labels) or int(labels.min()) < 0 or int(labels.max()) >= classes:
            raise ValueError(
                f"class_labels are {labels.tolist()[:5]}, expected numbers from 0 to {classes - 1}"
            )
        return labels
