"""Synthetic graphs: a few forests of small trees, or graphs, that stand for a training set."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
from torch import Tensor

from limbeck import files
from limbeck.data.frames import Integers
from limbeck.data.graph_data import GraphData
from limbeck.data.labelled_graphs import Graphs, united
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.graph_sets import GraphJudging, JudgedGraphs, judge_graphs
from limbeck.evaluate.table import ROLES
from limbeck.products.described import Described
from limbeck.run.exhibits import write_exhibits
from limbeck.run.run import Run

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin


class SyntheticGraphs(Described):
    """Graphs to train on, each made of parts that several graphs may share.

    Args:
        parts: trees, or whole graphs; stored once each.
        members: of each graph the places of its parts.
        y: classes ``(N,)``.
        like: data of the same classes and labels; of its graphs nothing is kept.
        support: of how many real graphs each is a part ``(N,)``, by which they are drawn; None
            draws all alike.
        counts: how often each part counts in the readout, in lists as `members`; None for once.
        depth: layers of message passing that see in the graphs what they see in real ones; None
            where the graphs are real.
        judging: how the set is judged.
        name: what to call the set.
        facts: how it came about, plain values that are kept with it.

    Raises:
        ArgumentError: lists have different lengths, or a part is not there.

    Example:
        >>> from limbeck.data import motif_graphs
        >>> data = motif_graphs()
        >>> few = SyntheticGraphs.of_graphs(data, [0, 1, 2])
        >>> len(few), few.graphs.counts.tolist() == data.train.counts[:3].tolist()
        (3, True)
    """

    def __init__(
        self,
        parts: Graphs,
        members: Sequence[Sequence[int] | Integers],
        y: Any,
        like: GraphData,
        *,
        support: Any = None,
        counts: Sequence[Any] | None = None,
        depth: int | None = None,
        judging: GraphJudging | None = None,
        name: str = "synthetic",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.parts, self.y = parts.replace(y=None, weight=None), np.asarray(y, np.int64)
        self.members = tuple(np.asarray(one, np.int64) for one in members)
        self.support = None if support is None else np.asarray(support, np.int64)
        self.counts = (
            None if counts is None else tuple(np.asarray(one, np.float32) for one in counts)
        )
        self.classes, self.values = tuple(like.classes), like.values
        self.node_kinds, self.edge_kinds = like.node_kinds, like.edge_kinds
        self.depth, self.name = depth, name
        self.judging, self.facts = judging or GraphJudging(), dict(facts or {})
        # What making it took, which is no part of what it is.
        self.seconds: float | None = None
        _check(self)

    @classmethod
    def of_graphs(
        cls, data: GraphData, places: Sequence[int] | Integers, **options: Any
    ) -> SyntheticGraphs:
        """Some of the training graphs of data as they are.

        Args:
            data: the data.
            places: of graphs.
            options: as the class takes them.
        """
        chosen = data.train.take(places)
        return cls(chosen, [[place] for place in range(len(chosen))], chosen.y, data, **options)

    def __len__(self) -> int:
        return len(self.y)

    @cached_property
    def graphs(self) -> Graphs:
        """The graphs, put together; their weights are what they are drawn by."""
        made = united(self.parts, self.members, y=self.y, weights=self.counts)
        return made if self.support is None else made.replace(weight=self.support)

    def as_data(self, real: GraphData) -> GraphData:
        """Data to train on this set and to choose and report on the real one.

        Args:
            real: the original data, whose training graphs are left out.

        Raises:
            ModelError: the data has another task, other classes, or other labels.
        """
        self.see(real)
        return dataclasses.replace(real, train=self.graphs, name=self.name)

    def as_pyg(self) -> list[Any]:
        """The graphs as PyG's `Data`, see `limbeck.bridges.pyg.to_pyg`.

        Raises:
            DataError: PyG is not installed.
        """
        from limbeck.bridges.pyg import to_pyg

        return to_pyg(self.graphs, self._read(), edge_kinds=self.edge_kinds)

    def _read(self) -> npt.NDArray[np.float32]:
        """What networks read of a node by its label ``(K, D)``."""
        values = np.eye(self.node_kinds) if self.values is None else self.values
        return values.astype(np.float32)

    def see(self, data: Any) -> None:
        """Raise `ModelError` unless data are graphs of the same classes and labels."""
        if not isinstance(data, GraphData):
            raise ModelError(
                f"{self.name} holds graphs and {getattr(data, 'name', data)} has none; give data "
                "of graphs, such as tu:FOLDER"
            )
        for what in ("classes", "node_kinds", "edge_kinds"):
            own, other = getattr(self, what), getattr(data, what)
            if own != other:
                raise ModelError(
                    f"{self.name} was made of graphs with {what} {own} and {data.name} has "
                    f"{other}; give the data that it was made of"
                )
        if not np.array_equal(self._read(), data.table):
            raise ModelError(
                f"{self.name} was made of graphs whose labels of nodes stand for other attributes "
                f"than those of {data.name}; give the data that it was made of"
            )

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by name, in the shortest whole numbers that hold it."""
        from limbeck.products.synthetic_graph_files import packed

        return packed(self)

    def bytes(self) -> int:
        """What the set takes to store and to send."""
        return sum(one.nbytes for one in self.tensors().values())

    def predict(self, x: Any = None) -> NoReturn:
        """Raise `ModelError`: this product is data, and the error says how to train on it."""
        raise ModelError(
            f"{self.name} is a set of graphs: it holds data and predicts nothing; train a network "
            "on it: as_data(real) gives the data, as_pyg() graphs for a loop of your own"
        )

    def judged(
        self, data: GraphData, run: Run | None = None, *, name: str | None = None
    ) -> JudgedGraphs:
        """Train fresh networks on the set and test them on the test graphs of some data.

        Args:
            data: the real graphs.
            run: where networks that are done are kept; None keeps none.
            name: of the set in the table, its own by default.

        Raises:
            ModelError: the data has other classes or labels.
        """
        seen, called = self.as_data(data), name or self.name
        cost: dict[str, float] = {
            "graphs": len(self),
            "nodes": self.parts.nodes,
            "bytes": self.bytes(),
        }
        if self.seconds is not None:
            cost["distil_seconds"] = round(self.seconds, 3)
        if run is not None:
            return judge_graphs(run, called, seen, self.judging, cost)
        with tempfile.TemporaryDirectory() as folder:
            return judge_graphs(Run(folder), called, seen, self.judging, cost)

    def evaluate(self, data: GraphData) -> dict[str, float]:
        """Quality of networks trained on this set, on the test graphs of some data."""
        return self.measure(data)["quality"]

    def measure(self, data: GraphData) -> dict[str, Any]:
        """A row of quality beside cost: networks trained on this set, tested on some data."""
        return self.judged(data).rows()[0]

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, SyntheticGraphs],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this set and of those it is compared with, and no diagnostics.

        How often trees occur, what was mined, and pictures are put beside the run's files.

        Args:
            run: where trained networks are kept.
            name: of this set's row.
            baselines: other sets, by name; the first is the baseline, the others are references.
            inputs: of the method: ``data``.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}`` and an empty table.
        """
        from limbeck.products.graph_exhibits import charts, galleries, sheets

        roles = [*ROLES[:2], *["reference"] * len(baselines)]
        rows: list[dict[str, Any]] = []
        for role, (label, one) in zip(roles, {name: self, **baselines}.items(), strict=False):
            rows += one.judged(inputs["data"], run, name=label).rows(role)
        write_exhibits(run.dir, charts(self), sheets(self), galleries(self))
        return rows, {}

    def summary(self) -> str:
        """One line about the set."""
        each = np.bincount(self.y, minlength=len(self.classes)).tolist()
        words = ", ".join(f"{n} of {one}" for n, one in zip(each, self.classes, strict=True))
        kind = "graphs" if self.depth is None else f"forests for {self.depth} layers"
        return (
            f"{self.name}: {len(self):,} {kind} ({words}) of {len(self.parts):,} parts with "
            f"{self.parts.nodes:,} nodes; {self.bytes():,} bytes"
        )

    def save(self, dir: str | Path) -> None:
        """Write the set so that the same set makes the same bytes.

        Args:
            dir: the folder; an older one there is replaced.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the set's files into a folder that `limbeck.files.new_folder` makes whole."""
        from limbeck.products.synthetic_graph_files import write_graphs

        write_graphs(self, part)

    @classmethod
    def load(cls, dir: str | Path) -> SyntheticGraphs:
        """Read what `save` wrote.

        Raises:
            CorruptFileError: a file is missing or was altered.
        """
        from limbeck.products.synthetic_graph_files import read_graphs

        return read_graphs(Path(dir))

    def export(
        self, dir: str | Path, *, to: str, data: Any = None, origin: Origin | None = None
    ) -> dict[str, Any]:
        """Write the set in a form that other programs read, beside a file that explains it.

        Args:
            dir: the folder; an earlier export of the same set is replaced.
            to: ``"json"`` (a list of graphs, each as `torch_geometric.data.Data.from_dict` takes it
                once its lists are tensors), ``"npz"`` (all graphs packed; where they are real ones
                ``tu:FILE`` reads them, which knows no roots), or ``"safetensors"`` (the parts,
                which `limbeck.load` reads).
            data: not needed.
            origin: not needed.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``.

        Raises:
            ArgumentError: the format is unknown.
            RunError: the folder holds something else or cannot be written.
        """
        # Here, because the exporters read what this module defines.
        from limbeck.products.synthetic_graph_exporting import export

        return export(self, dir, to=to)


def _check(made: SyntheticGraphs) -> None:
    lengths = {"members": len(made.members), "y": len(made.y)}
    if made.support is not None:
        lengths["support"] = len(made.support)
    if made.counts is not None:
        lengths["counts"] = len(made.counts)
    if len(set(lengths.values())) > 1 or not len(made.y):
        raise ArgumentError(f"a set of graphs has {lengths}, expected N of each, at least 1")
    used = np.concatenate(made.members)
    if any(not len(one) for one in made.members) or used.max() >= len(made.parts):
        raise ArgumentError(
            f"graphs have parts up to {used.max(initial=-1)} of {len(made.parts)}, and each needs "
            "one at least"
        )
