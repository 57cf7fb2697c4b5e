"""Run: one folder that remembers what was asked, what was done and where to go on."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck import files
from limbeck.errors import CorruptFileError, RunError
from limbeck.run import checkpoints
from limbeck.run.checkpoints import Checkpoint
from limbeck.run.choices import usual_executor
from limbeck.run.processes import rank
from limbeck.run.progress import Progress, progress
from limbeck.run.trackers import Trackers, write_csv

if TYPE_CHECKING:
    from torch import Tensor

    from limbeck.run.engine import Engine
    from limbeck.run.executor import Executor

METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class At:
    """A moment of a run: stage, step, and the key of the draws made then."""

    stage: str
    step: int
    key: int


@dataclass(frozen=True)
class Options:
    """How a run computes, as opposed to what.

    Args:
        threads: of torch while the run computes; part of what "same bits" means.
        device: ``"cpu"``, ``"cuda"`` or ``"auto"``.
        precision: as Lightning Fabric names it.
        strategy: how several processes share models: ``"ddp"`` or ``"fsdp"``.
        workers: processes that read data ahead.
        executor: where independent jobs run: ``"local"`` (processes), ``"serial"``, ``"ray"``, or
            ``"ray://HOST:PORT"``; what ``LIMBECK_EXECUTOR`` says, else local.
        quiet: show no progress.
        checkpoint_seconds: how often a loop saves its state.
        trackers: where rows are shown beside the run folder: of `limbeck.run.trackers.NAMES`.
    """

    threads: int = 1
    device: str = "cpu"
    precision: str = "32-true"
    strategy: str = "ddp"
    workers: int = 0
    executor: str = field(default_factory=usual_executor)
    quiet: bool = True
    checkpoint_seconds: float = 30.0
    trackers: tuple[str, ...] = ()


class Run:
    """One run folder.

    Args:
        dir: the folder; made when something is first written.
        seed: of all draws of the run.
        options: how it computes.
        shared: another run folder; stages that are done there are taken instead of made.

    Example:
        >>> import tempfile, torch
        >>> run = Run(tempfile.mkdtemp())
        >>> def make(size):
        ...     return {"zeros": torch.zeros(size)}
        >>> run.stage("zeros", make, size=3)["zeros"].tolist()
        [0.0, 0.0, 0.0]
    """

    # Whether only a few steps of each loop are tried, so that what was trained knows nothing.
    trying = False

    def __init__(
        self,
        dir: str | Path,
        *,
        seed: int = 0,
        options: Options | None = None,
        shared: Path | None = None,
    ) -> None:
        self.dir, self.seed, self.options = Path(dir), seed, options or Options()
        self.shared = shared
        self._begun = time.monotonic()
        self._trackers = Trackers(self.options.trackers, self.dir)
        self._order: list[str] = []

    def stage(
        self,
        name: str,
        make: Callable[..., Mapping[str, Tensor]],
        *,
        mapped: bool = False,
        **key: Any,
    ) -> dict[str, Tensor]:
        """Return what ``make(**key)`` gives, computing it only if this run has not done so before.

        Args:
            name: of the stage, a word.
            make: returns named tensors.
            mapped: leave the numbers on disk until they are read.
            key: arguments of `make`; their content, the seed and the name decide whether a
                stored result is the same.

        Returns:
            The tensors. A stored file that is damaged is made anew.
        """
        from limbeck.fingerprint import fingerprint

        self._begin(name)
        word = fingerprint(name, self.seed, key)
        file = f"{name}-{word}.safetensors"
        found = self._stored(file, mapped)
        # Processes that do not see the same file must not go different ways.
        if not self.engine.any(found is None):
            assert found is not None
            return found
        made = {name: tensor.detach() for name, tensor in make(**key).items()}
        if self.engine.rank == 0:
            path = self.dir / "stages" / file
            files.save_tensors(path, made, {"stage": name, "seed": str(self.seed)})
            # What the loop of this stage saved on the way is not needed any more.
            shutil.rmtree(self.dir / "checkpoints" / name, ignore_errors=True)
        self.engine.barrier()
        return self._stored(file, mapped) or made if mapped else made

    def _stored(self, file: str, mapped: bool) -> dict[str, Tensor] | None:
        read = files.map_tensors if mapped else files.load_tensors
        for folder in (self.dir, self.shared):
            if folder is None:
                continue
            try:
                return read(folder / "stages" / file)[0]
            except CorruptFileError as error:
                self._note(f"{error}; made anew")
            except RunError:
                pass
        return None

    def at(self, stage: str, step: int) -> At:
        """Return the moment, whose key depends on the seed, the stage and the step alone."""
        # Here, so that the command line can list and show without NumPy.
        from limbeck.keyed import key

        return At(stage, step, key(self.seed, stage, step))

    def log(self, **row: Any) -> None:
        """Append a row to the metrics: stage, step, numbers; those of clocks end in seconds."""
        if self.engine.rank:
            return
        row["seconds"] = round(time.monotonic() - self._begun, 3)
        files.append_text(self.dir / METRICS, json.dumps(row) + "\n")
        self._trackers.log(self.dir / METRICS, row)

    def finish(self) -> None:
        """Put the rows in order, write them out as CSV and close the trackers; more may follow."""
        self._trackers.close()
        # A run that failed before its first row may have no engine, and needs none.
        if (self.dir / METRICS).exists() and self.engine.rank == 0:
            self._sort_metrics()
            write_csv(self.dir / METRICS)

    def checkpoint(
        self,
        stage: str,
        step: int,
        models: Mapping[str, Mapping[str, Tensor]],
        state: Mapping[str, Any],
    ) -> None:
        """Save a loop's state; only the first process writes."""
        if self.engine.rank == 0:
            checkpoints.save(self.dir / "checkpoints" / stage, step, models, state)
        self.engine.barrier()

    def resume(self, stage: str) -> Checkpoint | None:
        """Return a loop's newest whole checkpoint, and cut its metrics back to that step."""
        self._begin(stage)
        found = checkpoints.load(self.dir / "checkpoints" / stage)
        if self.engine.rank == 0:
            self._cut_metrics(stage, found.step if found else 0)
        self.engine.barrier()
        return found

    def goes_on(self, loop: Any, batches: Any, steps: int) -> bool:
        """Whether a loop takes another step of those asked for; a rehearsal stops it after a few.

        Args:
            loop: the running loop: its stage, step, models and optimisers.
            batches: its loader, or None.
            steps: how many were asked for.
        """
        return True

    @contextlib.contextmanager
    def keeping(self, name: str, steps: int, bytes: int, folder: Path) -> Iterator[int]:
        """Do work inside the block that leaves much on disk, if there is room for it.

        Args:
            name: of the work.
            steps: how many there are to do.
            bytes: that they leave.
            folder: where.

        Yields:
            How many steps to do: all; in a rehearsal, which notes what they take, a few.

        Raises:
            RunError: there is no room.
        """
        free = files.free_disk(folder)
        if bytes > free:
            raise RunError(
                f"{name} take {bytes:,} bytes and {free:,} are free where {folder} is; choose "
                "another folder with --out, free space, or ask for less"
            )
        yield steps

    @cached_property
    def engine(self) -> Engine:
        """Where models live and learn."""
        from limbeck.run.engine import Engine

        options = self.options
        return Engine(options.device, options.precision, options.strategy)

    @cached_property
    def executor(self) -> Executor:
        """Runs independent jobs."""
        from limbeck.run.executor import Executor

        return Executor(self)

    def progress(
        self, label: str, total: int, *, start: int = 0
    ) -> AbstractContextManager[Progress]:
        """Show people how far a task is."""
        quiet = self.options.quiet or rank() > 0
        return progress(label, total, start=start, quiet=quiet)

    def _note(self, text: str) -> None:
        files.append_text(self.dir / "log.txt", text + "\n")

    def _begin(self, stage: str) -> None:
        if stage not in self._order:
            self._order.append(stage)

    def _sort_metrics(self) -> None:
        """Put the rows of a stage that was made anew where those that were cut had stood.

        Stages begin in the same order whether they are made or found done. Rows of one that did
        not begin this time stay behind the rows they stand behind.
        """
        path, place = self.dir / METRICS, -1
        numbered = []
        for line in path.read_text().splitlines(keepends=True):
            with contextlib.suppress(ValueError):
                stage = json.loads(line).get("stage")
                place = self._order.index(stage) if stage in self._order else place
            numbered.append((place, line))
        ordered = sorted(numbered, key=lambda one: one[0])
        if ordered != numbered:
            files.write_text(path, "".join(line for _, line in ordered))

    def _cut_metrics(self, stage: str, step: int) -> None:
        path = self.dir / METRICS
        if not path.exists():
            return
        kept, cut = [], False
        for line in path.read_text().splitlines(keepends=True):
            try:
                row = json.loads(line)
            except ValueError:
                cut = True  # a line that was being written when the process was killed
                continue
            later = row.get("stage") == stage and row.get("step", 0) > step
            cut = cut or later or not line.endswith("\n")
            if not later:
                kept.append(line.rstrip("\n") + "\n")
        if cut:
            files.write_text(path, "".join(kept))
            write_csv(path)
            self._trackers.close()
