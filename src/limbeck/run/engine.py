"""Engine: where models live and how they learn. A thin face of Lightning Fabric."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.outputs import unwrapped
from limbeck.run import sharding
from limbeck.run.fabric import differentiating, fabric, without_exchange


class Engine:
    """Places models, runs backward passes and speaks with the other processes.

    Starts no process: under ``torchrun`` it joins those there are.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        precision: one of `PRECISIONS` of `limbeck.run.choices`.
        strategy: with several processes, ``"ddp"`` keeps a copy of every model in each, ``"fsdp"``
            cuts models over them.

    Raises:
        ArgumentError: the device is not there, or a name is unknown.
    """

    def __init__(
        self, device: str = "cpu", precision: str = "32-true", strategy: str = "ddp"
    ) -> None:
        world = int(os.environ.get("WORLD_SIZE", "1"))
        self._plain = world == 1 and precision == "32-true"
        self._sharding = world > 1 and strategy == "fsdp"
        self._fabric = fabric(device, precision, strategy, world)

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""
        return self._fabric.global_rank

    @property
    def world(self) -> int:
        """Number of processes."""
        return self._fabric.world_size

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return self._fabric.device

    def setup(self, model: nn.Module) -> nn.Module:
        """Place a model of a loop; call what comes back, not `model`."""
        strategy = self._fabric.strategy
        model = strategy.precision.convert_module(model)
        if self._plain:
            # No gradients to exchange and nothing to cast: a wrapper would only cost time.
            return model.to(self.device)
        if self._sharding:
            # The user's own module stays in one piece; `settle` brings its weights up to date.
            return self._fabric.setup_module(copy.deepcopy(model).to(self.device))
        if self.world > 1 and not any(one.requires_grad for one in model.parameters()):
            # It has nothing to exchange, and the strategy for several processes refuses it.
            return without_exchange(model.to(self.device), strategy)
        return self._fabric.setup_module(model)

    def setup_optimiser(self, optimiser: torch.optim.Optimizer) -> Any:
        """Place an optimiser; set up the models it trains first."""
        return self._fabric.setup_optimizers(optimiser)

    def place(self, module: nn.Module) -> nn.Module:
        """Place a frozen network, such as a teacher's; call what comes back."""
        if self._sharding and any(True for _ in module.parameters()):
            mesh = self._fabric.strategy.device_mesh
            return sharding.shard(copy.deepcopy(module).to(self.device), mesh)
        return module.to(self.device)

    def autocast(self) -> AbstractContextManager[None]:
        """Compute in the run's precision, also with models that were not set up."""
        return self._fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        self._fabric.backward(loss)

    @staticmethod
    def differentiating() -> AbstractContextManager[None]:
        """Let `torch.autograd.grad` be asked inside the block, beside `backward`."""
        return differentiating()

    @contextmanager
    def no_sync(self, model: nn.Module, enabled: bool) -> Iterator[None]:
        """Do not exchange gradients inside the block: more pieces of the step follow."""
        if not (enabled and self.world > 1):
            yield
            return
        with self._fabric.no_backward_sync(model):
            yield

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over all processes."""
        return value if self.world == 1 else self._fabric.all_reduce(value, reduce_op="mean")

    def any(self, flag: bool) -> bool:
        """Whether a flag is up in any process: what all must do together is decided together."""
        return flag if self.world == 1 else sharding.synchronised(flag, self.device)

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            self._fabric.barrier()

    @staticmethod
    def state(model: nn.Module) -> dict[str, Tensor]:
        """Whole state dictionary of the module that was set up, names as the user knows them."""
        state: dict[str, Tensor] = sharding.whole(unwrapped(model).state_dict())
        return state

    @staticmethod
    def load(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
        """Load a whole state dictionary into a module that was set up."""
        sharding.load(unwrapped(model), tensors)

    @staticmethod
    def optimiser_state(optimiser: Any) -> dict[str, Any]:
        """Whole state of an optimiser."""
        state: dict[str, Any] = sharding.whole(optimiser.state_dict())
        return state

    @staticmethod
    def load_optimiser(optimiser: Any, state: Mapping[str, Any]) -> None:
        """Load a whole state into an optimiser."""
        sharding.load_optimiser(optimiser, state)

    @staticmethod
    def forget(optimiser: Any) -> None:
        """Empty an optimiser's memory: momentum and the like start anew."""
        # The wrapper's own view of the state is stale once a state was loaded.
        getattr(optimiser, "optimizer", optimiser).state.clear()

    def settle(self, model: nn.Module, placed: nn.Module) -> None:
        """Bring the user's own module up to date with the one that was set up from it."""
        if self._sharding:
            model.load_state_dict(self.state(placed))

    @property
    def sharding(self) -> bool:
        """Whether models are cut over the processes."""
        return self._sharding
