"""Engine: where models live and how they learn. A thin face of Lightning Fabric."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.errors import ArgumentError, nearest
from limbeck.outputs import Outputs, unwrapped

PRECISIONS = ("32-true", "64-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true")


class Engine:
    """Places models, runs backward passes and speaks with the other processes.

    Starts no process: under ``torchrun`` it joins those there are.

    Args:
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        precision: one of `PRECISIONS`, as Fabric names them.

    Raises:
        ArgumentError: the device is not there, or the precision is unknown.
    """

    def __init__(self, device: str = "cpu", precision: str = "32-true") -> None:
        from lightning_fabric import Fabric

        if device not in ("cpu", "cuda", "auto"):
            raise ArgumentError(f"device is {device!r}, expected cpu, cuda or auto")
        if device == "cuda" and not torch.cuda.is_available():
            raise ArgumentError("device is cuda and torch finds none; use --device cpu")
        if precision not in PRECISIONS:
            raise ArgumentError(f"precision is {precision!r}; {nearest(precision, PRECISIONS)}")
        self._precision = precision
        world = int(os.environ.get("WORLD_SIZE", "1"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._fabric = Fabric(
                accelerator=device,
                devices=world if world > 1 else 1,
                strategy="ddp" if world > 1 else "auto",
                precision=precision,  # type: ignore[arg-type]
            )
        plugin: Any = self._fabric.strategy.precision
        plugin.convert_input = _leaving_ours(plugin.convert_input)
        if precision == "64-true":
            # Fabric casts outputs, and with them gradients, back to single precision.
            plugin.convert_output = lambda data: data
        self._fabric.launch()

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
        if self.world == 1 and self._precision == "32-true":
            # No gradients to exchange and nothing to cast: a wrapper would only cost time.
            return self._fabric.strategy.precision.convert_module(model).to(self.device)
        if self.world > 1 and not any(one.requires_grad for one in model.parameters()):
            # It has nothing to exchange, and the strategy for several processes refuses it.
            from lightning_fabric.wrappers import _FabricModule

            strategy = self._fabric.strategy
            placed = strategy.precision.convert_module(model).to(self.device)
            return _FabricModule(placed, strategy)
        return self._fabric.setup_module(model)

    def setup_optimiser(self, optimiser: torch.optim.Optimizer) -> Any:
        """Place an optimiser; set up the models it trains first."""
        return self._fabric.setup_optimizers(optimiser)

    def place(self, modules: Iterable[nn.Module]) -> None:
        """Move frozen networks, such as a teacher's, to where this process computes."""
        for module in modules:
            module.to(self.device)

    def backward(self, loss: Tensor) -> None:
        """Compute gradients."""
        self._fabric.backward(loss)

    @contextmanager
    def no_sync(self, model: nn.Module, enabled: bool) -> Iterator[None]:
        """Do not exchange gradients inside the block: more pieces of the step follow."""
        if not (enabled and self.world > 1):
            yield
            return
        with self._fabric.no_backward_sync(model):  # type: ignore[arg-type]
            yield

    def mean(self, value: Tensor) -> Tensor:
        """Mean of a tensor over all processes."""
        return value if self.world == 1 else self._fabric.all_reduce(value, reduce_op="mean")  # type: ignore[return-value]

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.world > 1:
            self._fabric.barrier()

    @staticmethod
    def state(model: nn.Module) -> dict[str, Tensor]:
        """State dictionary of the module that was set up, names as the user knows them."""
        return unwrapped(model).state_dict()


def _leaving_ours(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let `Outputs` and `Batch` pass: Fabric refuses the one and rebuilds the other without key."""

    def one(value: Any) -> Any:
        return value if isinstance(value, (Outputs, Batch)) else convert(value)

    def convert_input(given: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
        args, named = given
        return tuple(map(one, args)), {name: one(value) for name, value in named.items()}

    return convert_input
