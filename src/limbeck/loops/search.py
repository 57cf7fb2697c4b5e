"""Search: candidates of a space are scored, all of them or those that a strategy proposes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from limbeck.errors import ArgumentError, Interrupted, LimbeckError
from limbeck.loops.fitness import Fitness, Scores, by
from limbeck.loops.proposals import PROPOSALS, Proposal
from limbeck.networks.spaces import Code, Space
from limbeck.run.interrupt import deferred
from limbeck.run.run import Run
from limbeck.settings import settings

Strategy = Literal["enumerate", "random", "evolve", "evolve-elite", "optuna"]
# From a candidate to its scores, or to these and to facts that stand beside them.
Score = Callable[[Code], Scores | tuple[Scores, Mapping[str, float]]]
# Proposals in turn that bring no new candidate, after which there is taken to be none.
PATIENCE = 1000


class Rejected(LimbeckError):
    """A candidate is not to be scored: it is invalid, or costs too much.

    Args:
        reason: of which many candidates have the same, such as ``"parameters"``.
        told: about this candidate.
    """

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(told)
        self.reason = reason


@settings
class Search:
    """Which candidates are scored.

    Args:
        strategy: ``"enumerate"`` takes all; ``"random"`` draws; ``"evolve"`` is ageing evolution:
            of some of the last candidates the best one is changed; ``"evolve-elite"`` changes any
            of the best candidates so far; ``"optuna"`` asks its tree-structured Parzen estimator.
        evaluations: candidates that are scored at the most; those refused do not count.
        seconds: stop after that time too; what is found then depends on the machine. None does
            not.
        population: candidates that evolution draws from.
        sample: how many of them ageing evolution compares.
        mutations: choices that change at once.
        seeded: with ``"evolve-elite"``, candidates that are made from the first one before others
            are changed.

    Source: Real et al., arXiv 1802.01548, of ageing evolution; lilujunai/DisWOT-CVPR2023 of the
    sizes of both.
    """

    strategy: Strategy = "enumerate"
    evaluations: Annotated[int, Field(ge=1)] = 1000
    seconds: Annotated[float, Field(gt=0)] | None = None
    population: Annotated[int, Field(ge=2)] = 36
    sample: Annotated[int, Field(ge=1)] = 8
    mutations: Annotated[int, Field(ge=1)] = 1
    seeded: Annotated[int, Field(ge=1)] = 10

    def check(self, space: Space) -> None:
        """Raise `ArgumentError` where all candidates are asked for and there are too many."""
        if self.strategy == "enumerate" and space.size > self.evaluations:
            raise ArgumentError(
                f"{space.name} has {space.size:,} candidates and evaluations is "
                f"{self.evaluations:,}; raise evaluations, or set strategy to random or evolve"
            )


@settings
class Limits:
    """What a candidate may cost; None does not limit.

    Args:
        parameters: of the network.
        macs: multiply-adds of one sample.
        depth: layers with weights, convolutions and linear ones.
        latency_ms: of one sample on this machine; what is found then depends on it.
    """

    parameters: Annotated[int, Field(ge=1)] | None = None
    macs: Annotated[int, Field(ge=1)] | None = None
    depth: Annotated[int, Field(ge=1)] | None = None
    latency_ms: Annotated[float, Field(gt=0)] | None = None

    def check(self, cost: Mapping[str, float]) -> None:
        """Raise `Rejected` where a cost is above its limit.

        Example:
            >>> Limits(depth=3).check({"depth": 4})
            Traceback (most recent call last):
            ...
            limbeck.loops.search.Rejected: depth is 4 and the limit is 3
        """
        for name in ("parameters", "macs", "depth", "latency_ms"):
            most = getattr(self, name)
            if most is not None and cost[name] > most:
                raise Rejected(name, f"{name} is {cost[name]:,g} and the limit is {most:,g}")


@dataclass(frozen=True)
class Scored:
    """A candidate and what was found out about it.

    Args:
        code: in its space.
        scores: by name.
        facts: further numbers, such as what it costs, which no metrics show.
    """

    code: Code
    scores: Scores
    facts: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Searched:
    """What a search found.

    Args:
        history: in the order in which candidates were scored.
        rejected: how many were refused, by reason.
        told: of each reason, what was said of the first.
    """

    history: list[Scored] = field(default_factory=list)
    rejected: dict[str, int] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)

    def ranked(self, fitness: Fitness) -> list[Scored]:
        """Candidates from the fittest on; equal ones as they came."""
        values = fitness([one.scores for one in self.history])
        order = sorted(range(len(values)), key=lambda place: -values[place])
        return [self.history[place] for place in order]

    def refusals(self) -> str:
        """How many were refused and why, in words."""
        counts = [
            f"{count} for {name} ({self.told[name]})" for name, count in self.rejected.items()
        ]
        return "; ".join(counts) or "none were refused"


def search(
    run: Run,
    stage: str,
    space: Space,
    score: Score,
    how: Search,
    *,
    fitness: Fitness | None = None,
) -> Searched:
    """Score candidates of a space.

    Each is scored once. A search that was stopped goes on where it was, and one that is done is
    read back.

    Args:
        run: keeps the scores and shows the progress; every candidate is a row of its metrics.
        stage: name of the search.
        space: the candidates.
        score: from a candidate to numbers by name, or to a pair of these and of facts; what it
            draws depends on the candidate alone. It raises `Rejected` for candidates that shall
            not count.
        how: which candidates, and how many.
        fitness: from the scores of several candidates to what they are compared by, more being
            better; None takes the score named ``"score"``.

    Returns:
        All candidates that were scored.

    Raises:
        ArgumentError: the space is too large to enumerate, no candidate could be scored, or what
            the run has of this name is of another space.
        ModelError: Optuna is asked for and not installed.
        Interrupted: the user asked to stop.

    Example:
        >>> import tempfile
        >>> space = Space({"width": (1, 2, 3)}, lambda width: "mlp")
        >>> run = Run(tempfile.mkdtemp())
        >>> found = search(run, "widths", space, lambda code: {"score": -code[0]}, Search())
        >>> [one.code for one in found.ranked(by("score"))]
        [(0,), (1,), (2,)]
    """
    how.check(space)
    loop = _Loop(run, stage, space, score, how, fitness or by("score"))
    wanted = min(how.evaluations, space.size)
    with (
        run.keeping(stage, wanted, 0, run.dir) as steps,
        run.progress(stage, steps, start=len(loop.found.history)) as shown,
        deferred() as stop,
    ):
        for one in loop.tried(steps):
            if one is not None:
                shown.advance()
            if stop.asked:
                loop.save()
                raise Interrupted(f"{stage} stopped after {len(loop.found.history)} candidates")
    if not loop.found.history:
        raise ArgumentError(
            f"no candidate of {space.name} could be scored: {loop.found.refusals()}; change the "
            "space or raise the limits"
        )
    loop.save(done=True)
    return loop.found


class _Loop:
    """A search with what it remembers."""

    def __init__(
        self,
        run: Run,
        stage: str,
        space: Space,
        score: Score,
        how: Search,
        fitness: Fitness,
    ) -> None:
        self.run, self.stage, self.space, self.score = run, stage, space, score
        self.how, self.fitness = how, fitness
        self.found, self.seen = Searched(), set[Code]()
        self.asked, self.idle, self.spent, self.done = 0, 0, 0.0, False
        self._begun = self._saved = time.monotonic()
        kept = run.resume(stage)
        if kept is None:
            return
        state = kept.state
        if state["choices"] != _plain(space):
            raise ArgumentError(
                f"{stage} in {run.dir} is of another space than {space.name}; take another folder, "
                "or another name"
            )
        self.found = Searched(
            [Scored(tuple(code), *told) for code, *told in state["history"]],
            state["rejected"],
            state["told"],
        )
        self.seen = set(map(tuple, state["seen"]))
        self.asked, self.idle = state["asked"], state["idle"]
        self.spent, self.done = state["spent"], state["done"]

    def tried(self, steps: int) -> Iterator[Scored | None]:
        """Go on until so many candidates are scored, or there is no other; None where a proposal
        was known or refused."""
        if self.done:
            return
        proposals = self._proposals()
        while len(self.found.history) < steps and not self._idle and not self._late:
            code = next(proposals, None)
            if code is None:
                return
            self.asked += 1
            self.idle += 1
            one = None if code in self.seen else self._try(code)
            self.seen.add(code)
            if one is not None:
                self.idle = 0
            yield one
            # What is refused takes its time too.
            if time.monotonic() - self._saved > self.run.options.checkpoint_seconds:
                self.save()

    def save(self, *, done: bool = False) -> None:
        """Keep what is known."""
        self._saved = time.monotonic()
        state = {
            "choices": _plain(self.space),
            "history": [
                [one.code, dict(one.scores), dict(one.facts)] for one in self.found.history
            ],
            "rejected": self.found.rejected,
            "told": self.found.told,
            "seen": sorted(self.seen),
            "asked": self.asked,
            "idle": self.idle,
            "spent": self._spent,
            "done": done,
        }
        self.run.checkpoint(self.stage, len(self.found.history), {}, state)

    @property
    def _spent(self) -> float:
        return self.spent + time.monotonic() - self._begun

    @property
    def _idle(self) -> bool:
        """Whether proposals have long brought nothing new; an enumeration comes to its end."""
        return self.how.strategy != "enumerate" and self.idle >= PATIENCE

    @property
    def _late(self) -> bool:
        return self.how.seconds is not None and self._spent > self.how.seconds

    def _proposals(self) -> Iterator[Code]:
        if self.how.strategy == "enumerate":
            yield from itertools.islice(self.space.codes(), self.asked, None)
            return
        propose: Proposal = PROPOSALS[self.how.strategy]
        while True:
            key = self.run.at(self.stage, self.asked).key
            history = [(one.code, one.scores) for one in self.found.history]
            yield propose(self.space, history, self.how, self.fitness, key)

    def _try(self, code: Code) -> Scored | None:
        try:
            told = self.score(code)
        except Rejected as error:
            self.found.told.setdefault(error.reason, f"{self.space.words(code)}: {error}")
            self.found.rejected[error.reason] = self.found.rejected.get(error.reason, 0) + 1
            return None
        scores, facts = told if isinstance(told, tuple) else (told, {})
        one = Scored(code, scores, facts)
        self.found.history.append(one)
        numbers: dict[str, Any] = {n: v for n, v in scores.items() if abs(v) < float("inf")}
        self.run.log(stage=self.stage, step=len(self.found.history), **numbers)
        return one


def _plain(space: Space) -> dict[str, list[Any]]:
    """The choices that codes are numbers of."""
    return {name: list(values) for name, values in space.choices.items()}
