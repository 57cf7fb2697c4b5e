"""The axiom checker: which axioms of repeated distillation a rule breaks, with what inputs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from limbeck import files
from limbeck.errors import ArgumentError, nearest
from limbeck.functional.axiom_trials import (
    AXIOMS,
    Found,
    Inputs,
    cases,
    tried,
)
from limbeck.plain import finite

Kind = Literal["softening", "pool", "anchoring"]
CALLS = {
    "softening": "rule(probabilities (N, C), temperature) -> (N, C)",
    "pool": "rule(members (K, N, C), weights (K,)) -> (N, C)",
    "anchoring": "rule(student (N, C), base (N, C)) -> (N, C)",
}


@dataclass(frozen=True)
class AxiomSpec:
    """What a rule is and how hard it is tried.

    Args:
        kind: ``"softening"``, ``"pool"`` or ``"anchoring"``; None asks the rule's ``kind``.
        trials: random inputs an axiom, spread over classes and concentrations; inputs made to
            be awkward (nearly certain, contradicting, tied, uniform) come on top.
        classes: numbers of classes C.
        concentrations: of the Dirichlet distributions that inputs are drawn from.
        members: K of a pool.
        temperatures: at which softening is tried; with none below 1 the limit of T to 0 is left
            out.
        softening: family that a pool shall commute with.
        least: smallest probability of an input.
        tolerance: how far an axiom may be missed.
        least_pull: an anchored rule must take this share of KL(base || student) away each time.
        seed: of the draws.
    """

    kind: Kind | None = None
    trials: int = 200
    classes: tuple[int, ...] = (2, 3, 10, 1000)
    concentrations: tuple[float, ...] = (0.1, 1.0, 10.0)
    members: int = 3
    temperatures: tuple[float, ...] = (0.5, 2.0, 8.0)
    softening: Literal["power", "uniform"] = "power"
    least: float = 1e-8
    tolerance: float = 1e-6
    least_pull: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        if self.trials < 1 or self.members < 1 or not self.classes or min(self.classes) < 2:
            raise ArgumentError(
                f"trials is {self.trials}, members {self.members} and classes {self.classes}: "
                "expected at least 1, at least 1 and numbers of at least 2"
            )
        if not self.concentrations or min(self.concentrations) <= 0:
            raise ArgumentError(f"concentrations is {self.concentrations}, expected above 0")
        if not self.temperatures or min(self.temperatures) <= 0:
            raise ArgumentError(f"temperatures is {self.temperatures}, expected above 0")
        if self.softening == "uniform" and max(self.temperatures) < 1:
            raise ArgumentError(
                f"temperatures is {self.temperatures} and softening 'uniform', which is defined "
                "for 1 and more: give one of at least 1"
            )
        if not 0 < self.least < 1 / max(self.classes):
            raise ArgumentError(
                f"least is {self.least}, expected above 0 and below 1/C, which is "
                f"{1 / max(self.classes):g}"
            )


@dataclass(frozen=True)
class AxiomVerdict:
    """Whether a rule keeps one axiom.

    Args:
        axiom: its name.
        passed: whether no trial missed it by more than it may.
        violation: the largest miss.
        allowed: by how much it may be missed.
        counter_example: inputs of the worst trial by name, of one sample; of a rule that passes
            those that came nearest to a miss.
        trials: how many inputs were tried.
        seed: of the draws.
        measured: further numbers by name, such as the steepest slope seen.
        reason: what the rule raised, if it raised.
    """

    axiom: str
    passed: bool
    violation: float
    allowed: float
    counter_example: Mapping[str, Tensor]
    trials: int
    seed: int
    measured: Mapping[str, float]
    reason: str = ""


@dataclass(frozen=True)
class AxiomReport:
    """All verdicts about a rule.

    Args:
        rule: its name.
        kind: ``"softening"``, ``"pool"`` or ``"anchoring"``.
        verdicts: one an axiom.
    """

    rule: str
    kind: str
    verdicts: tuple[AxiomVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every axiom holds."""
        return all(one.passed for one in self.verdicts)

    @property
    def failed(self) -> list[str]:
        """Names of the axioms that do not hold."""
        return [one.axiom for one in self.verdicts if not one.passed]

    def __getitem__(self, axiom: str) -> AxiomVerdict:
        """The verdict on one axiom."""
        found = {one.axiom: one for one in self.verdicts}
        if axiom not in found:
            raise ArgumentError(f"there is no axiom {axiom!r}; {nearest(axiom, found)}")
        return found[axiom]

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Heads and cells for people, one row an axiom."""
        heads = ["axiom", "holds", "largest miss", "allowed", "trials", "measured"]
        cells = [
            [
                one.axiom,
                "yes" if one.passed else "no",
                f"{one.violation:.3g}",
                f"{one.allowed:.3g}",
                str(one.trials),
                one.reason or ", ".join(f"{n} {v:.4g}" for n, v in one.measured.items()),
            ]
            for one in self.verdicts
        ]
        return heads, cells

    def to_plain(self) -> dict[str, Any]:
        """Plain values as JSON holds them; what is not finite becomes None."""
        rows = []
        for one in self.verdicts:
            row = {name: value for name, value in vars(one).items() if name != "counter_example"}
            row["counter_example"] = {n: v.tolist() for n, v in one.counter_example.items()}
            rows.append(row)
        facts = {"rule": self.rule, "kind": self.kind, "passed": self.passed, "verdicts": rows}
        return finite(facts)

    def save(self, path: str | Path) -> None:
        """Write the report, counter-examples included, as JSON."""
        files.write_text(Path(path), json.dumps(self.to_plain()) + "\n")

    def __str__(self) -> str:
        lines = [f"{self.rule} ({self.kind})"]
        for one in self.verdicts:
            mark = "holds " if one.passed else "BROKEN"
            extra = one.reason or ", ".join(f"{n} {v:.3g}" for n, v in one.measured.items())
            lines.append(f"  {mark} {one.axiom}: {one.violation:.3g}; {extra}".rstrip("; "))
        return "\n".join(lines)


def check_axioms(operator: Callable[..., Tensor], spec: AxiomSpec | None = None) -> AxiomReport:
    """Try a rule of anyone's on random and awkward distributions, axiom by axiom.

    A ``"softening"`` must keep the ranking, be continuous in T, not lower the entropy as T rises,
    change nothing at T = 1, and tend to uniform and to the largest class. A ``"pool"`` must give
    distributions and return identical members (convexity), keep positive what all members hold
    positive, be continuous, not move away from a member whose weight rises, and commute with
    softening (temperature coherence). An ``"anchoring"`` must give positive distributions (A1,
    A2), be continuous (A3), be drawn towards the base teachers each time (A4), leave the base
    teachers' pool where it is (A5) and never move away from it (A6).

    Args:
        operator: the rule, in double precision: a pool is called with members ``(K, N, C)`` and
            weights ``(K,)``, an anchoring with student and base ``(N, C)``, a softening with
            probabilities ``(N, C)`` and a temperature. It gives ``(N, C)``. A softening with an
            attribute ``least_temperature`` is tried at no lower one.
        spec: what it is and how hard it is tried.

    Returns:
        Verdicts with the worst inputs. A jump is told from a steep slope by halving: between two
        inputs the half with the larger change is kept until they can hardly be told apart, and
        where a change is left the rule is not continuous.

    Raises:
        ArgumentError: the kind is not known, or the rule cannot be called or gives another shape.

    Example:
        >>> import torch
        >>> from limbeck.functional import power_pool
        >>> check_axioms(power_pool, AxiomSpec("pool", classes=(3,))).failed
        ['temperature coherence']
        >>> def winner(members, weights):
        ...     sure = members.amax(-1).argmax(0)
        ...     return members[sure, torch.arange(len(sure))]
        >>> report = check_axioms(winner, AxiomSpec("pool", classes=(3,)))
        >>> report.failed
        ['continuity', 'temperature coherence']
        >>> sorted(report["continuity"].counter_example)
        ['members', 'other_members', 'weights']

    Source: arXiv 2601.13100 and its prequels; the operational forms are reconstructed.
    """
    spec = spec or AxiomSpec()
    kind = spec.kind or getattr(operator, "kind", None)
    if kind not in AXIOMS:
        raise ArgumentError(
            f"the kind of rule is {kind!r}, expected one of {', '.join(AXIOMS)}: pass "
            'AxiomSpec(kind="pool")'
        )
    spec = replace(spec, kind=kind)
    if kind == "softening":
        spec = _within_reach(operator, spec)
    _try_once(operator, spec)
    verdicts = [
        _verdict(operator, spec, name, test, allowed(spec))
        for name, (test, allowed) in AXIOMS[kind].items()
        if not (name == "argmax as T tends to 0" and min(spec.temperatures) >= 1)
    ]
    name = getattr(operator, "name", None) or getattr(operator, "__name__", None)
    return AxiomReport(str(name or type(operator).__name__), kind, tuple(verdicts))


def _within_reach(operator: Callable[..., Tensor], spec: AxiomSpec) -> AxiomSpec:
    """The temperatures that a softening is defined for."""
    least = getattr(operator, "least_temperature", 0.0)
    fitting = tuple(one for one in spec.temperatures if one >= least)
    if not fitting:
        raise ArgumentError(
            f"temperatures is {spec.temperatures} and the rule is defined for {least:g} and more: "
            "give one of these"
        )
    return replace(spec, temperatures=fitting)


def _verdict(
    operator: Callable[..., Tensor],
    spec: AxiomSpec,
    axiom: str,
    test: Callable[..., Found],
    allowed: float,
) -> AxiomVerdict:
    worst, example, trials, reason = -1.0, Inputs(), 0, ""
    measured: dict[str, float] = {}
    for case in cases(spec, axiom):
        trials += case.rows
        try:
            found = test(operator, case, spec)
        except Exception as error:  # The rule is anyone's: what it raises is a finding.
            worst, example = math.inf, case.inputs.row(0)
            reason = f"raised {type(error).__name__}: {error}"
            break
        misses = found.violation.double().nan_to_num(nan=math.inf, posinf=math.inf)
        row = int(misses.argmax())
        if float(misses[row]) > worst:
            worst, example = float(misses[row]), found.inputs.row(row)
        for name, (value, keep) in found.measured.items():
            measured[name] = keep(measured.get(name, value), value)
    return AxiomVerdict(
        axiom=axiom,
        passed=worst <= allowed,
        violation=worst,
        allowed=allowed,
        counter_example=example,
        trials=trials,
        seed=spec.seed,
        measured=measured,
        reason=reason,
    )


def _try_once(operator: Callable[..., Tensor], spec: AxiomSpec) -> None:
    """Raise unless the rule can be called on plain distributions and gives the right shape."""
    case = next(cases(replace(spec, concentrations=(10.0,)), "", awkward=False))
    given = case.inputs
    expected = tuple(next(iter(given.values())).shape[-2:])
    try:
        out = tried(operator, given, spec.temperatures[-1] if spec.kind == "softening" else None)
    except Exception as error:
        raise ArgumentError(
            f"the rule cannot be called as {CALLS[str(spec.kind)]}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(out, Tensor) or tuple(out.shape) != expected:
        got = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ArgumentError(
            f"the rule gives {got} for {expected[0]} samples of {expected[1]} classes, expected a "
            f"tensor {expected}: it is called as {CALLS[str(spec.kind)]}"
        )
