"""Adapters: a few trained numbers beside a large network's frozen ones.

While a denoiser has adapters, its state is what learns: checkpoints and averages hold no copy of
the frozen weights, which come with the teacher.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import nn

from limbeck.errors import ModelError
from limbeck.networks.making import library
from limbeck.settings import settings


@settings
class Adapters:
    """Low-rank adapters on the linear layers and convolutions of a network.

    Args:
        rank: of each adapter; 0 trains whole networks.
        alpha: what adapters are scaled by, as a multiple of 1 / rank.

    Source: Hu et al., arXiv 2106.09685.
    """

    rank: Annotated[int, Field(ge=0)] = 0
    alpha: Annotated[float, Field(gt=0)] = 8.0

    def put_on(self, denoiser: Any) -> Any:
        """Put adapters on a denoiser's network, in place; only they are left to train.

        Until they are `merged`, ``state_dict`` leaves frozen weights out and ``load_state_dict``
        leaves them as they are.

        Raises:
            ModelError: peft is missing, or no layer can have one.
        """
        if not self.rank:
            return denoiser
        peft = library("peft", "diffusion")
        names = [
            name
            for name, layer in denoiser.network.named_modules()
            if isinstance(layer, (nn.Linear, nn.Conv2d))
        ]
        if not names:
            raise ModelError(
                f"{type(denoiser.network).__name__} has no linear layer or convolution to put "
                "adapters on; set adapters.rank to 0"
            )
        config = peft.LoraConfig(r=self.rank, lora_alpha=self.alpha, target_modules=names)
        denoiser.requires_grad_(False)
        denoiser.network = peft.inject_adapter_in_model(config, denoiser.network)
        denoiser.narrowed = (
            denoiser.register_state_dict_post_hook(_leave_out_frozen),
            denoiser.register_load_state_dict_post_hook(_miss_no_frozen),
        )
        return denoiser

    def merged(self, denoiser: Any) -> Any:
        """Add what adapters learned to the weights that they stand beside, in place."""
        if not self.rank:
            return denoiser
        layers = library("peft.tuners.tuners_utils", "diffusion")
        for name, layer in list(denoiser.network.named_modules()):
            if isinstance(layer, layers.BaseTunerLayer):
                layer.merge()
                owner, _, leaf = name.rpartition(".")
                setattr(denoiser.network.get_submodule(owner), leaf, layer.get_base_layer())
        for hook in denoiser.narrowed:
            hook.remove()
        del denoiser.narrowed
        return denoiser


def _frozen(module: nn.Module) -> set[str]:
    return {name for name, one in module.named_parameters() if not one.requires_grad}


def _leave_out_frozen(module: nn.Module, state: Any, prefix: str, _: Any) -> None:
    for name in _frozen(module):
        del state[prefix + name]


def _miss_no_frozen(module: nn.Module, keys: Any) -> None:
    frozen = _frozen(module)
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]
