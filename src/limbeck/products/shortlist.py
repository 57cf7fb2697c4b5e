"""Shortlist: the architectures that a search found best, why, and what they cost."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn

from limbeck import files
from limbeck.data.data import Data
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.cost import latency_ms
from limbeck.functional.rank_agreement import RankAgreement, rank_agreement
from limbeck.loops.fitness import fitness_named
from limbeck.loops.search import Searched
from limbeck.networks.names import build
from limbeck.networks.shortlisted import ENTRIES
from limbeck.networks.spaces import Space
from limbeck.plain import finite
from limbeck.products.described import Described
from limbeck.products.export_folder import FACTS

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin
    from limbeck.run.run import Run

# What ranks candidates without looking at what they do: the larger the better.
TRIVIAL = ("depth", "parameters", "macs")
HINT = (
    "a shortlist holds architectures without weights, and predicts nothing; train one: limbeck run "
    "kd --student shortlist:RUN, or shortlist.build(data)"
)


@dataclass(frozen=True)
class Entry:
    """One candidate.

    Args:
        name: of the network, for any method; None where a function made it.
        choices: by name.
        scores: by name, more being better.
        cost: ``parameters``, ``macs``, ``depth`` and ``bytes``.
        ranks: 1 being the best of all that were scored: by each score, and by depth, parameters
            and multiply-adds, the most being the best.
    """

    name: str | None
    choices: Mapping[str, Any]
    scores: Mapping[str, float]
    cost: Mapping[str, float]
    ranks: Mapping[str, int]

    @property
    def label(self) -> str:
        """For people: the name, or the choices."""
        return self.name or ", ".join(f"{name}={value}" for name, value in self.choices.items())


class Shortlist(Described):
    """Candidates from the best on.

    Args:
        entries: one or more.
        score: that they are ranked by: ``"rank-sum"``, ``"sum"`` or one of their scores.
        combined: the scores that a sum counts.
        facts: how it came about, plain values that are kept with it.

    Raises:
        ArgumentError: there is no entry.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        score: str,
        combined: Sequence[str],
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if not entries:
            raise ArgumentError("a shortlist without entries says nothing, expected at least one")
        self.entries = tuple(entries)
        self.score, self.combined, self.facts = score, tuple(combined), dict(facts or {})
        # While it is fresh: a function that makes networks is in no file.
        self._space: Space | None = None

    @classmethod
    def of(
        cls,
        found: Searched,
        space: Space,
        score: str,
        combined: Sequence[str],
        *,
        keep: int,
        by: str = "score",
        facts: Mapping[str, Any] | None = None,
    ) -> Shortlist:
        """The best of a search.

        Args:
            found: candidates with scores and, as facts, their cost.
            space: that they are of.
            score: ``"rank-sum"``, ``"sum"`` or one of the scores.
            combined: the scores that a sum counts.
            keep: how many.
            by: what they are ordered by: ``"score"``, or a cost, the most first.
            facts: how it came about.
        """
        values = fitness_named(score, combined)([one.scores for one in found.history])
        columns: dict[str, list[float]] = {"score": list(values)}
        for name in found.history[0].scores:
            columns[name] = [one.scores[name] for one in found.history]
        for name in TRIVIAL:
            columns[name] = [one.facts[name] for one in found.history]
        ranks = {name: _ranks(column) for name, column in columns.items()}
        order = sorted(range(len(values)), key=lambda place: (ranks[by][place], place))[:keep]
        entries = [
            Entry(
                space.spec(found.history[place].code),
                space.decode(found.history[place].code),
                {"score": values[place], **found.history[place].scores},
                found.history[place].facts,
                {name: ranked[place] for name, ranked in ranks.items()},
            )
            for place in order
        ]
        told = {
            "scored": len(values),
            "rejected": found.rejected,
            "kendall_with": {name: _tau(columns["score"], columns[name]) for name in TRIVIAL},
            # Of all that were scored, for pictures.
            "columns": finite({name: columns[name] for name in ("score", *TRIVIAL)}),
        }
        made = cls(entries, score, combined, {**(facts or {}), **told})
        made._space = space
        return made

    @property
    def best(self) -> Entry:
        """The first entry."""
        return self.entries[0]

    def build(self, data: Data, rank: int = 1) -> nn.Module:
        """Make the network of an entry, untrained.

        Args:
            data: whose inputs and classes it shall know.
            rank: 1 is the best.

        Raises:
            ArgumentError: there is no such rank.
            ModelError: the shortlist was read from a folder, and the entry has no name.
        """
        return self._built(self._entry(rank), data)

    def _entry(self, rank: int) -> Entry:
        if not 1 <= rank <= len(self.entries):
            raise ArgumentError(f"rank is {rank}, expected 1 to {len(self.entries)}")
        return self.entries[rank - 1]

    def _built(self, entry: Entry, data: Data) -> nn.Module:
        if self._space is not None:
            return self._space.build(
                self._space.encode(entry.choices), data.input_space, data.outputs
            )
        if entry.name is None:
            raise ModelError(
                f"{entry.label} was made by a function and has no name; call the function with "
                "these choices, or let it return names"
            )
        return build(entry.name, data.input_space, data.outputs)

    def predict(self, x: Any = None) -> NoReturn:
        """Raise `ModelError`: a shortlist predicts nothing, and the error says what to train."""
        raise ModelError(HINT)

    def agreement(self, measured: Mapping[str, float]) -> dict[str, RankAgreement]:
        """How well each column agrees with what students were measured to be.

        Args:
            measured: a number, such as an accuracy, by the label of an entry; two or more.

        Returns:
            Kendall's tau-b, Spearman's rho and Pearson's r by column: ``"score"``, each score, and
            depth, parameters and multiply-adds.

        Raises:
            ArgumentError: fewer than two entries are measured.
        """
        entries = [one for one in self.entries if one.label in measured]
        truth = [measured[one.label] for one in entries]
        if len(entries) < 2:
            raise ArgumentError(
                f"measured names {len(entries)} of the {len(self.entries)} entries, expected two "
                "or more, such as " + repr({self.best.label: 0.71})
            )
        # A rank is the same order as a score that may be minus infinity.
        names = list(entries[0].ranks)
        return {
            name: rank_agreement([-one.ranks[name] for one in entries], truth) for name in names
        }

    def evaluate(self, data: Data) -> dict[str, float]:
        """Scores of the best entry, and how far the score follows depth and size."""
        return self.measure(data)["quality"]

    def measure(self, data: Data) -> dict[str, Any]:
        """A row of the best entry: its scores beside its cost."""
        row = self._row("shortlist", "product", self.best, data)
        row["quality"] |= {f"tau_{name}": v for name, v in self.facts["kendall_with"].items()}
        return row

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, Shortlist],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of the best entry and of those that simpler choices put first.

        All are scored in one company, so that sums of ranks compare.

        Args:
            run: the folder; charts and the list are put beside its files.
            name: of this one's row.
            baselines: other shortlists by name; the first is the baseline.
            inputs: of the method: ``data``.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}`` and an empty table.
        """
        # Here, because it reads what this module defines.
        from limbeck.products.showing_shortlist import show_shortlist

        data, every = inputs["data"], {name: self, **baselines}
        company = {one.label: one for shortlist in every.values() for one in shortlist.entries}
        told = fitness_named(self.score, self.combined)([one.scores for one in company.values()])
        together = dict(zip(company, told, strict=True))
        rows = []
        for place, (label, shortlist) in enumerate(every.items()):
            role = ("product", "baseline")[place] if place < 2 else "reference"
            row = self._row(label, role, shortlist.best, data)
            row["quality"]["score"] = together[shortlist.best.label]
            rows.append(row)
        show_shortlist(run, self, data)
        return rows, {}

    def _row(self, name: str, role: str, entry: Entry, data: Data) -> dict[str, Any]:
        cost = dict(entry.cost)
        # One that was read from a folder cannot make what a function made.
        if entry.name is not None or self._space is not None:
            cost["latency_ms"] = self.latency(entry, data)
        quality = {n: v for n, v in entry.scores.items() if math.isfinite(v)}
        return {"name": name, "role": role, "quality": quality, "cost": cost}

    def latency(self, entry: Entry, data: Data) -> float:
        """Median milliseconds of an entry for one sample on this machine."""
        assert data.input_space is not None
        return latency_ms(self._built(entry, data), torch.zeros(1, *data.input_space.shape))

    def summary(self) -> str:
        """One line about the shortlist."""
        facts, best = self.facts, self.best
        return (
            f"{len(self.entries)} of {facts.get('scored', len(self.entries))} students by "
            f"{self.score}, the best {best.label} with {best.cost['parameters']:,.0f} parameters"
        )

    def tensors(self) -> dict[str, Tensor]:
        """The numbers of all entries, by name."""
        columns = {
            **{name: [one.scores[name] for one in self.entries] for name in self.best.scores},
            **{name: [one.cost[name] for one in self.entries] for name in self.best.cost},
        }
        return {name: torch.tensor(one, dtype=torch.float64) for name, one in columns.items()}

    def save(self, dir: str | Path) -> None:
        """Write the shortlist: two JSON files, no time, no path.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the files into a folder that `limbeck.files.new_folder` makes whole."""
        facts = {
            "kind": "shortlist",
            "score": self.score,
            "combined": list(self.combined),
            "facts": self.facts,
        }
        # JSON has no minus infinity: a score that is none is empty.
        entries = [finite(asdict(one)) for one in self.entries]
        files.write_text(part / ENTRIES, json.dumps(entries, indent=1, allow_nan=False) + "\n")
        files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")

    @classmethod
    def load(cls, dir: str | Path) -> Shortlist:
        """Read what `save` wrote.

        Raises:
            CorruptFileError: a file is missing or was altered.
        """
        dir = Path(dir)
        files.check_folder(dir)
        facts = json.loads((dir / FACTS).read_text())
        entries = [Entry(**_read(one)) for one in json.loads((dir / ENTRIES).read_text())]
        return cls(entries, facts["score"], facts["combined"], facts["facts"])

    def export(
        self, dir: str | Path, *, to: str, data: Any = None, origin: Origin | None = None
    ) -> dict[str, Any]:
        """Write the shortlist as a table that other programs read.

        Args:
            dir: the folder; an earlier export of the same one is replaced.
            to: ``"csv"`` (``shortlist.csv``, a row an entry) or ``"json"``.
            data: not needed.
            origin: not needed.

        Returns:
            ``format``, ``folder``, ``files`` and ``bytes``.

        Raises:
            ArgumentError: the format is unknown.
            RunError: the folder holds something else or cannot be written.
        """
        from limbeck.products.showing_shortlist import export

        return export(self, dir, to=to)


def _read(entry: Mapping[str, Any]) -> dict[str, Any]:
    scores = {n: -math.inf if v is None else v for n, v in entry["scores"].items()}
    return {**entry, "scores": scores}


def _ranks(values: Sequence[float]) -> list[int]:
    """1 for the largest; equal ones share the better rank."""
    ordered = sorted(values, reverse=True)
    first = {value: place for place, value in reversed(list(enumerate(ordered, start=1)))}
    return [first[value] for value in values]


def _tau(score: Sequence[float], cost: Sequence[float]) -> float:
    """Kendall's tau of two columns, 0 where there is one candidate alone."""
    if len(score) < 2:
        return 0.0
    return round(rank_agreement([-one for one in _ranks(score)], list(cost)).kendall, 6)
