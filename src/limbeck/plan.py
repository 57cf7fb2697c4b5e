"""Plan: what a request would take, found by rehearsing it, and whether there is room for it."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import cards, files
from limbeck.errors import Interrupted, UnusualUseWarning
from limbeck.experiment import Request

if TYPE_CHECKING:
    from limbeck.rehearsal import Network, Rehearsal, Stage

# Two sizes of the test split tell what a sample takes from what a look takes whatever the size.
FEW, MORE, HALF = 8, 64, 2


@dataclass(frozen=True)
class Plan:
    """What a request would take; sizes are bytes, of one seed unless said otherwise.

    Args:
        request: what is asked for.
        device: where models would live.
        at_once: how many seeds run at the same time.
        devices: how many compute one run together; the rehearsal is one device's.
        networks: what each takes in memory.
        stages: the loops in order.
        stored: stages that are made once and kept.
        product: what comes out.
        cache: the teacher's logits for the samples of one epoch, in half precision, if they were
            stored.
        preparing: seconds before and between loops.
        testing: seconds for the table.
        room: memory that this process could take, where models live.
        free_disk: on the disk of the run folder.
        broken_off: why the rehearsal ended before the end, or nothing.
    """

    request: Request
    device: str
    at_once: int
    networks: tuple[Network, ...]
    stages: tuple[Stage, ...]
    stored: Mapping[str, int] = field(default_factory=dict)
    product: int = 0
    cache: int = 0
    preparing: float = 0.0
    testing: float = 0.0
    room: int = 0
    free_disk: int = 0
    broken_off: str = ""
    devices: int = 1

    @property
    def tried(self) -> int:
        """Steps that the rehearsal took."""
        return sum(one.tried for one in self.stages)

    @property
    def teacher_calls(self) -> int:
        """Of all seeds."""
        return len(self.request.seeds) * sum(one.teacher_calls for one in self.stages)

    @property
    def memory(self) -> int:
        """Of all seeds that run at the same time, in the stage that takes most.

        Of devices of their own it is that of one; processes on cores share what there is.
        """
        sharing = self.devices if self.device == "cpu" else 1
        return self.at_once * sharing * max(map(self._held, self.stages), default=0)

    def _held(self, stage: Stage) -> int:
        """What one process holds: of a batch its part, and of models that are cut."""
        shared = stage.activations
        if self.request.options.get("strategy") == "fsdp":
            shared += stage.state
        return stage.memory - shared + math.ceil(shared / self.devices)

    @property
    def disk(self) -> int:
        """Of all seeds, while the last checkpoint is written beside the one before."""
        kept = sum(one.checkpoint for one in self.stages if one.stays)
        kept += sum(self.stored.values()) + self.product
        writing = max((one.checkpoint for one in self.stages), default=0)
        return len(self.request.seeds) * kept + self.product + self.at_once * writing

    @property
    def minutes(self) -> float | None:
        """Expected for all seeds on one device each; None where a stage could not be tried."""
        if self.broken_off or any(one.seconds is None for one in self.stages):
            return None
        loops = sum(self.seconds(one) or 0.0 for one in self.stages)
        rounds = math.ceil(len(self.request.seeds) / self.at_once)
        return rounds * (self.preparing + loops + self.testing) / 60

    def seconds(self, stage: Stage) -> float | None:
        """Expected for all loops of a stage; jobs of seeds side by side take turns."""
        if stage.seconds is None:
            return None
        at_once = stage.at_once if self.at_once == 1 else 1
        return stage.seconds * stage.steps * math.ceil(stage.times / at_once)

    @property
    def warnings(self) -> list[str]:
        """What will not fit, and what to do."""
        said = [f"{self.broken_off}; later stages were not tried"] if self.broken_off else []
        if self.memory > self.room:
            said.append(
                f"memory will not do: {size(self.memory)} expected and {size(self.room)} free; "
                "lower --batch-size, run fewer --seeds at once, or take smaller models"
            )
        if self.disk > self.free_disk:
            said.append(
                f"the disk will not do: {size(self.disk)} expected and {size(self.free_disk)} "
                "free; choose another folder with --out, or free space"
            )
        return said

    def facts(self) -> dict[str, Any]:
        """All of it in plain values."""
        return {
            "method": self.request.method,
            "seeds": len(self.request.seeds),
            "at_once": self.at_once,
            "device": self.device,
            "devices": self.devices,
            "models": [asdict(one) for one in self.networks],
            "stages": [asdict(one) for one in self.stages],
            "teacher_calls": self.teacher_calls,
            "minutes": self.minutes,
            "memory": {
                "needed": self.memory,
                "free": self.room,
                "fits": self.memory <= self.room,
            },
            "disk": {
                "needed": self.disk,
                "free": self.free_disk,
                "fits": self.disk <= self.free_disk,
                "stored": dict(self.stored),
                "product": self.product,
                "teacher_outputs_if_stored": self.cache,
            },
            "warnings": self.warnings,
        }


def plan(request: Request, folder: Path, *, devices: int = 1, quiet: bool = True) -> Plan:
    """Rehearse a request for a few steps a loop and tell what all of it would take.

    Args:
        request: what to do.
        folder: where it would be done; nothing is written there.
        devices: how many would compute one run together; one rehearses.
        quiet: show no progress.

    Returns:
        The plan of it.

    Raises:
        Interrupted: the user asked to stop.
        LimbeckError: as the run itself would before its first steps.
    """
    import torch

    from limbeck.rehearsal import Rehearsal
    from limbeck.run.run import Options

    options = Options(**request.options, quiet=quiet)
    with tempfile.TemporaryDirectory(prefix="limbeck-plan-") as place:
        run = Rehearsal(Path(place) / "plan", seed=request.seeds[0], options=options)
        found: dict[str, Any] = {}
        with closing(run):
            try:
                found = _rehearsed(request, run)
            except (torch.OutOfMemoryError, MemoryError) as error:
                found["broken_off"] = f"memory did not do when a step was tried: {error}"
            except Interrupted:
                raise Interrupted("stopped; a plan leaves nothing behind") from None
    return Plan(
        request=request,
        device=str(run.engine.device),
        # Processes that compute one run together take the seeds one after another.
        at_once=run.executor.at_once(len(request.seeds)) if devices == 1 else 1,
        networks=tuple(run.networks),
        stages=tuple(run.stages.values()),
        stored=run.stored,
        room=run.room,
        free_disk=files.free_disk(folder),
        devices=devices,
        **found,
    )


def _rehearsed(request: Request, run: Rehearsal) -> dict[str, Any]:
    """Call the method and what follows it, on little."""
    from limbeck.method import complete

    method = cards.load_class(request.method)(**request.settings)
    begun = time.perf_counter()
    product, baselines, ready = complete(method, run, request.inputs)
    preparing = time.perf_counter() - begun - run.seconds
    made = run.dir / "product"
    facts = {
        "preparing": preparing,
        "product": sum(file.stat().st_size for file in made.rglob("*") if file.is_file()),
    }

    def compare(data: Any) -> Any:
        return product.compared(run, request.method, baselines, {**ready, "data": data})

    if "teacher" not in ready:
        # What its table takes are loops, and noted as such.
        compare(ready["data"])
        return facts
    data = ready["data"]
    asked = any(one.teacher_calls for one in run.stages.values())
    # A teacher that makes samples says nothing about those of the data.
    members = len(getattr(ready["teacher"], "members", ()))
    cache = len(data.train) * members * data.outputs * HALF if asked else 0
    return {**facts, "cache": cache, "testing": _testing(compare, data)}


def _testing(compare: Callable[[Any], Any], data: Any) -> float:
    """Seconds that the table takes, from what it takes on parts of the test split."""
    spent = []
    sizes = sorted({min(number, len(data.test)) for number in (FEW, MORE)})
    for number in sizes:
        part = _with_test_of(data, number)
        times = []
        # The quicker of two: the first call of all chooses kernels, and the machine may be busy.
        for _ in range(2):
            begun = time.perf_counter()
            with warnings.catch_warnings():
                # Networks of a few steps are weak, which says nothing of those of the run.
                warnings.simplefilter("ignore", UnusualUseWarning)
                compare(part)
            times.append(time.perf_counter() - begun)
        spent.append(min(times))
    if len(sizes) == 1:
        return spent[0]
    each = max(0.0, spent[1] - spent[0]) / (sizes[1] - sizes[0])
    return spent[0] + each * (len(data.test) - sizes[0])


def _with_test_of(data: Any, number: int) -> Any:
    """Data whose test split has so many samples, evenly spread."""
    import numpy as np

    places = np.linspace(0, len(data.test) - 1, number).astype(int)
    return data.with_test(places)


def size(count: int) -> str:
    """A number of bytes for people.

    Example:
        >>> size(1_234_567), size(12)
        ('1.2 MB', '12 B')
    """
    for power, unit in ((4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if count >= 1000**power:
            return f"{count / 1000**power:.1f} {unit}"
    return f"{count} B"


def duration(seconds: float) -> str:
    """A time for people.

    Example:
        >>> duration(0.25), duration(90), duration(7200)
        ('0.2 s', '1.5 min', '2.0 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
