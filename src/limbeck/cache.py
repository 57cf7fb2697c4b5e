"""Cached: a teacher whose outputs on training samples are computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import Loader
from limbeck.errors import ArgumentError
from limbeck.features import on_device
from limbeck.fingerprint import fingerprint
from limbeck.functional.soft_labels import Rest
from limbeck.labels.kept import Kept, Kind
from limbeck.labels.shards import Places, Shards
from limbeck.outputs import Outputs
from limbeck.teachers import TOP, EnsembleTeacher, Teacher, for_data, uncounted_bytes


def cached(
    teacher: Teacher,
    where: Any,
    *,
    keep: str = "logits",
    dtype: Kind = "float16",
    rest: Rest = "uniform",
) -> Any:
    r"""Keep a teacher's raw outputs, so that each is computed once for a sample in a view.

    A loop (`fit`) reads its training batches from the store, which the first epoch that needs it
    fills; any other batch is answered by the teacher itself. Of an ensemble every member is kept
    on its own, raw: weights, the rule that combines them, routes and temperatures apply when the
    numbers are read.

    With ``keep="topK"`` the K largest :math:`\log p_c` are kept with the log of the remaining
    mass, and logits are rebuilt with the mass spread evenly: right for everything that reads
    probabilities of the kept classes, up to a constant for a sample.

    Args:
        teacher: what to ask; one model or an ensemble.
        where: a folder, or a run, whose ``cache`` folder is used.
        keep: ``"logits"``, or ``"top32"`` for the 32 largest (any number).
        dtype: ``"float16"`` or ``"float32"`` of the kept numbers.
        rest: with ``"topK"``, what becomes of the other classes: ``"uniform"`` or
            ``"renormalize"``, which gives them nothing.

    Returns:
        A teacher.

    Raises:
        ArgumentError: a choice is unknown. When a loop begins: its batches are mixed or have
            siamese views, or an objective reads what is not kept, such as features, or with
            ``"topK"`` is a loss that needs the logits of all classes.
        ModelError: when filled: logits that float16 cannot hold, or fewer classes than K.

    Example:
        >>> import tempfile
        >>> from limbeck.data import Loader, digits
        >>> from limbeck.teachers import teacher
        >>> data = digits()
        >>> big = teacher(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
        >>> loader = Loader(data, data.train, 32)
        >>> read = cached(big, tempfile.mkdtemp()).bind(loader)
        >>> read(loader.batch(0)).logits.shape
        torch.Size([32, 10])

    Source: Shen and Xing, arXiv 2112.01528 (FKD), for the kept classes of views.
    """
    kept = Kept(keep, dtype, rest)
    folder = Path(where.dir) / "cache" if hasattr(where, "dir") else Path(where)
    if isinstance(teacher, EnsembleTeacher):
        members = [
            cached(member, folder, keep=keep, dtype=dtype, rest=rest) for member in teacher.members
        ]
        return teacher.of(members)
    return CachedTeacher(teacher, folder, kept)


class CachedTeacher:
    """A teacher with a store beside it. Made by `cached`."""

    def __init__(self, teacher: Teacher, folder: Path, kept: Kept) -> None:
        self.teacher, self.folder, self.kept = teacher, folder, kept
        self.name = getattr(teacher, "name", type(teacher).__name__)

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self.teacher.fingerprint, self.kept)

    @property
    def wants(self) -> tuple[str, ...]:
        return self.teacher.wants

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        return tuple(getattr(self.teacher, "modules", ()))

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The teacher itself: one member."""
        return (self,)

    @property
    def uncounted_bytes(self) -> int | None:
        """Size of a teacher that is no network; None where it is one."""
        return uncounted_bytes(self.teacher)

    def __call__(self, batch: Batch) -> Outputs:
        return self.teacher(batch)

    def for_data(self, data: Data) -> CachedTeacher:
        """The teacher with its classes in the order of the data's, kept in the same folder."""
        suited = for_data(self.teacher, data)
        return self if suited is self.teacher else CachedTeacher(suited, self.folder, self.kept)

    def bind(self, loader: Loader) -> StoredTeacher:
        """The store of a loader's samples, filled when they are first asked for."""
        return StoredTeacher(self, loader)

    def __repr__(self) -> str:
        return f"cached({self.teacher!r}, keep={self.kept.keep!r})"


class StoredTeacher:
    """What a cached teacher said about the samples of one loader. Made by its ``bind``."""

    def __init__(self, cache: CachedTeacher, loader: Loader) -> None:
        if loader.views.siamese:
            raise ArgumentError(
                f"the outputs of {cache.name} are stored for single samples in views that replay, "
                f"and views.siamese is {loader.views.siamese!r}, which changes batches as a whole; "
                "set teaching.store to nothing (in Python: give the teacher without cached), or "
                "leave views.siamese empty"
            )
        self._cache, self._loader = cache, loader
        self._tables: dict[int, Shards] = {}
        self.name, self.wants = cache.name, ("id", "view")
        # The store answers: no network has to stay where the student learns.
        self.modules: tuple[nn.Module, ...] = ()
        order = np.argsort(loader.split.ids, kind="stable")
        self._ids, self._order = loader.split.ids[order], order

    @cached_property
    def fingerprint(self) -> str:
        return fingerprint(self._cache.fingerprint, self._loader.fingerprint)

    @property
    def members(self) -> tuple[Teacher, ...]:
        """The store itself: one member."""
        return (self,)

    @property
    def gives(self) -> tuple[str, ...]:
        """What was kept: logits, or the most likely classes alone; nothing else can be read."""
        return ("logits",) if self._cache.kept.keep == "logits" else (TOP,)

    @property
    def rows(self) -> int:
        """How many samples a view has."""
        return len(self._ids)

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        if "view" not in batch:
            raise ArgumentError(
                f"the outputs of {self.name} are stored for single samples in views that replay, "
                "and this batch was changed as a whole (mixed); drop the mixing or the store"
            )
        views, device = batch["view"].cpu().numpy(), batch["id"].device
        places = self._places(batch["id"].cpu().numpy())
        first = int(views[0])
        if (views == first).all():
            rows = self.fill(first, device).take(places)
        else:
            parts, here = [], []
            for view in np.unique(views):
                here.append(np.flatnonzero(views == view))
                parts.append(self.fill(int(view), device).take(places[here[-1]]))
            back = torch.from_numpy(np.argsort(np.concatenate(here)))
            rows = {name: torch.cat([part[name] for part in parts])[back] for name in parts[0]}
        logits = self._cache.kept.read(rows, self._said.numel())
        return Outputs(logits=logits.to(device))

    def __repr__(self) -> str:
        return f"stored({self.name})"

    def _places(self, ids: Places) -> Places:
        found = np.searchsorted(self._ids, ids)
        if (found >= len(self._ids)).any() or (self._ids[found] != ids).any():
            raise ArgumentError(
                f"the outputs of {self.name} are stored for {len(self._ids)} training samples, and "
                "the batch holds others; ask the teacher itself"
            )
        return self._order[found]

    def whole(self, view: int) -> bool:
        """Whether the outputs for a view are on disk."""
        return view in self._tables or self._shards(view).whole

    def fill(
        self,
        view: int,
        device: torch.device | str = "cpu",
        done: Callable[[int], None] = lambda rows: None,
    ) -> Shards:
        """Open the table of a view, computing what is missing.

        Args:
            view: its number.
            device: where the teacher computes; it is taken back afterwards.
            done: told how many more rows are there.

        Returns:
            The rows.
        """
        if view not in self._tables:
            table = self._shards(view)
            with on_device(device, *self._cache.modules):
                table.fill(
                    lambda places: self._written(self._ask(places, view, device).cpu()), done
                )
            self._tables[view] = table
        return self._tables[view]

    def _shards(self, view: int) -> Shards:
        cache, loader = self._cache, self._loader
        kept = cache.kept
        word = fingerprint(cache.teacher.fingerprint, kept.keep, kept.dtype, loader.fingerprint)
        written = self._written(torch.zeros(1, *self._said))
        row_bytes = sum(tensor.nbytes for tensor in written.values())
        return Shards(cache.folder / word / f"view-{view}", len(loader.split), row_bytes)

    @cached_property
    def _said(self) -> torch.Size:
        """Shape of what is said about one sample."""
        module = next((one for m in self._cache.modules for one in m.parameters()), None)
        return self._ask(np.arange(1), 0, "cpu" if module is None else module.device).shape[1:]

    def _ask(self, places: Places, view: int, device: torch.device | str) -> Tensor:
        batch = self._loader.read(places, np.full(len(places), view, dtype=np.int64))
        return self._cache.teacher(batch.to(device)).read("logits")

    def _written(self, logits: Tensor) -> dict[str, Tensor]:
        return self._cache.kept.write(logits, self.name)
