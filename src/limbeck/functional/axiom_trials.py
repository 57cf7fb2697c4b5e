"""The single axioms as tests on a batch of inputs, and where the inputs come from.

A test gives by how much each sample misses its axiom, with the inputs that show it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from limbeck import keyed
from limbeck.functional.recursion import clip_probabilities, soften

if TYPE_CHECKING:
    from limbeck.functional.axioms import AxiomSpec

Rule = Callable[..., Tensor]
# After 52 halvings two distributions differ by no more than doubles can tell apart.
HALVINGS, SLOPE_AT = 52, 20
HOT, COLD = 1e9, 1e-4
# At that cold a class with less than this share of the largest one's mass has none left.
CLEAR = 0.99
TINY_DISTANCE = 1e-6


class Inputs(dict[str, Tensor]):
    """Inputs of a rule by name: ``(..., N, C)``; weights ``(K,)`` and temperatures ``()``."""

    def row(self, number: int) -> Inputs:
        """The inputs of one sample."""
        return Inputs(
            {name: x[..., number, :].clone() if x.ndim > 1 else x for name, x in self.items()}
        )

    def between(self, other: Inputs) -> Inputs:
        """Halfway to other inputs; weights stay."""
        return Inputs({n: (x + other[n]) / 2 if x.ndim > 1 else x for n, x in self.items()})

    def where(self, chosen: Tensor, other: Inputs) -> Inputs:
        """Samples of these where chosen ``(N,)``, else of the others."""
        return Inputs(
            {
                n: torch.where(chosen[:, None], x, other[n]) if x.ndim > 1 else x
                for n, x in self.items()
            }
        )

    def distance(self, other: Inputs) -> Tensor:
        """Sum of absolute differences ``(N,)``."""
        parts = [
            (x - other[n]).abs().sum(-1).reshape(-1, x.shape[-2]).sum(0)
            for n, x in self.items()
            if x.ndim > 1
        ]
        return torch.stack(parts).sum(0)


@dataclass(frozen=True)
class Case:
    """One batch of trials: inputs, and others of the same shape to go to from them."""

    inputs: Inputs
    others: Inputs
    draw: np.random.Generator

    @property
    def rows(self) -> int:
        """Samples in it."""
        return next(iter(self.inputs.values())).shape[-2]


@dataclass(frozen=True)
class Found:
    """By how much each sample misses an axiom, and what shows it."""

    violation: Tensor
    inputs: Inputs
    measured: Mapping[str, tuple[float, Callable[..., float]]] = field(default_factory=dict)


def cases(spec: AxiomSpec, axiom: str, *, awkward: bool = True) -> Iterator[Case]:
    """Draw the inputs of an axiom: random ones of every size, with the awkward ones."""
    groups = [(c, a) for c in spec.classes for a in spec.concentrations]
    each = -(-spec.trials // len(groups))
    for number, (classes, concentration) in enumerate(groups):
        draw = np.random.Generator(
            np.random.Philox(key=keyed.key(spec.seed, "axioms", axiom, number))
        )
        pair = [_drawn(draw, spec, each, classes, concentration) for _ in range(2)]
        if awkward and concentration == spec.concentrations[0]:
            pair = [
                torch.cat([one, more], -2)
                for one, more in zip(pair, _awkward(spec, classes), strict=True)
            ]
        members, others = (clip_probabilities(x, least=spec.least)[0] for x in pair)
        weights = torch.from_numpy(draw.dirichlet(np.ones(spec.members)))
        yield Case(_named(spec, members, weights), _named(spec, others, weights), draw)


def tried(rule: Rule, inputs: Inputs, temperature: float | None = None) -> Tensor:
    """Call a rule the way its kind is called; temperatures are plain numbers.

    It gets copies: a rule that works in place must not change what it is judged by.
    """
    values: list[Any] = [x.clone() for x in inputs.values() if x.ndim]
    out = rule(*values) if temperature is None else rule(*values, temperature)
    return out.detach().double() if isinstance(out, Tensor) else out


def _drawn(
    draw: np.random.Generator, spec: AxiomSpec, rows: int, classes: int, concentration: float
) -> Tensor:
    alpha = np.full(classes, concentration)
    return torch.from_numpy(draw.dirichlet(alpha, size=(max(spec.members, 2), rows)))


def _awkward(spec: AxiomSpec, classes: int) -> list[Tensor]:
    """Members certain of one class, contradicting each other, tied, uniform; and their mirror."""
    members = max(spec.members, 2)
    sure = torch.zeros(members, classes, dtype=torch.float64)
    sure[:, 0] = 1
    against = sure.clone()
    against[1::2] = sure[1::2].flip(-1)
    tied = torch.zeros_like(sure)
    tied[:, :2] = 0.5
    uniform = torch.full_like(sure, 1 / classes)
    lone = uniform.clone()
    lone[0] = sure[0]
    first = torch.stack([sure, against, tied, uniform, lone], 1)
    return [first, first.flip(-1).flip(0)]


def _named(spec: AxiomSpec, drawn: Tensor, weights: Tensor) -> Inputs:
    if spec.kind == "pool":
        return Inputs(members=drawn[: spec.members], weights=weights)
    if spec.kind == "anchoring":
        return Inputs(student=drawn[0], base=drawn[1])
    return Inputs(probabilities=drawn[0])


def _gap(first: Tensor, second: Tensor) -> Tensor:
    return (first - second).abs().sum(-1) / 2


def _kl(base: Tensor, other: Tensor) -> Tensor:
    """KL of whatever numbers a rule gives: below 0 counts as 0, which is infinitely far."""
    return (base * (base.log() - other.clamp(min=0).log())).sum(-1)


def _entropy(p: Tensor) -> Tensor:
    return -(p * p.clamp(min=torch.finfo(p.dtype).tiny).log()).sum(-1)


def _simplex(rule: Rule, case: Case, spec: AxiomSpec, *temperature: float) -> Found:
    out = tried(rule, case.inputs, *temperature)
    return Found(torch.maximum((-out).amax(-1), (out.sum(-1) - 1).abs()), case.inputs)


def _convexity(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    found = _simplex(rule, case, spec)
    same = Inputs(case.inputs)
    members = case.inputs["members"]
    # Copied, not expanded: torch.median, for one, misreads memory that several members share.
    same["members"] = members[:1].repeat(len(members), 1, 1)
    moved = _gap(tried(rule, same), same["members"][0])
    worse = moved > found.violation
    return Found(torch.where(worse, moved, found.violation), same.where(worse, case.inputs))


def _positivity(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    out = tried(rule, case.inputs)
    lost = ~(out > 0)
    return Found(lost.double().mean(-1), case.inputs)


def _continuity(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    """Halve the way between two inputs, keeping the half over which the rule changes more."""
    a, b = case.inputs, case.others
    f_a, f_b = tried(rule, a), tried(rule, b)
    slope = torch.zeros(())
    for number in range(HALVINGS):
        middle = a.between(b)
        f_m = tried(rule, middle)
        left = (f_m - f_a).abs().sum(-1) >= (f_b - f_m).abs().sum(-1)
        a, b = a.where(left, middle), middle.where(left, b)
        f_a, f_b = (
            torch.where(left[:, None], f_a, f_m),
            torch.where(left[:, None], f_m, f_b),
        )
        if number == SLOPE_AT:
            away = a.distance(b)
            change = (f_b - f_a).abs().sum(-1)
            slope = torch.where(away > 0, change / away.clamp(min=1e-300), 0.0).max()
    both = Inputs(a) | {f"other_{name}": x for name, x in b.items() if x.ndim > 1}
    steepest = {"steepest slope": (float(slope), max)}
    return Found((f_b - f_a).abs().sum(-1), Inputs(both), steepest)


def _weight_monotonicity(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    members, weights = case.inputs["members"], case.inputs["weights"]
    raised_one = int(case.draw.integers(len(weights)))
    share = float(case.draw.uniform(0.05, 0.9))
    raised = weights * (1 - share)
    raised[raised_one] += share * weights.sum()
    before = _kl(members[raised_one], tried(rule, case.inputs))
    after = _kl(members[raised_one], tried(rule, Inputs(members=members, weights=raised)))
    rise = torch.where(after == before, 0.0, after - before)
    return Found(rise.clamp(min=0), Inputs({**case.inputs, "raised_weights": raised}))


def _temperature_coherence(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    members = case.inputs["members"]
    pooled = tried(rule, case.inputs)
    gaps = []
    for temperature in spec.temperatures:
        if spec.softening == "uniform" and temperature < 1:
            continue
        soft = Inputs({**case.inputs, "members": soften_to(members, temperature, spec)})
        gaps.append(_gap(tried(rule, soft), soften_to(pooled, temperature, spec)))
    return Found(torch.stack(gaps).amax(0), case.inputs)


def soften_to(p: Tensor, temperature: float, spec: AxiomSpec) -> Tensor:
    """Soften by the family that a pool shall commute with."""
    return soften(p, temperature=temperature, family=spec.softening)


def _ranking(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    p = case.inputs["probabilities"]
    order = p.argsort(-1)
    misses = [
        (-tried(rule, case.inputs, t).gather(-1, order).diff(dim=-1)).amax(-1).clamp(min=0)
        for t in spec.temperatures
    ]
    return Found(torch.stack(misses).amax(0), case.inputs)


def _continuity_in_temperature(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    """As `_continuity`, along T: all samples share a temperature, the worst of them decides."""
    low, high = min(spec.temperatures), max(spec.temperatures)
    f_low, f_high = tried(rule, case.inputs, low), tried(rule, case.inputs, high)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        f_m = tried(rule, case.inputs, middle)
        if float((f_m - f_low).abs().sum(-1).max()) >= float((f_high - f_m).abs().sum(-1).max()):
            high, f_high = middle, f_m
        else:
            low, f_low = middle, f_m
    both = Inputs({**case.inputs, "temperature": torch.tensor(low, dtype=torch.float64)})
    return Found((f_high - f_low).abs().sum(-1), both)


def _entropy_rises(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    levels = [_entropy(tried(rule, case.inputs, t)) for t in sorted(spec.temperatures)]
    falls = [(a - b).clamp(min=0) for a, b in itertools.pairwise(levels)]
    return Found(torch.stack(falls or [torch.zeros(case.rows)]).amax(0), case.inputs)


def _identity(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    return Found(_gap(tried(rule, case.inputs, 1.0), case.inputs["probabilities"]), case.inputs)


def _uniform_limit(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    out = tried(rule, case.inputs, HOT)
    return Found(_gap(out, torch.full_like(out, 1 / out.shape[-1])), case.inputs)


def _argmax_limit(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    p = case.inputs["probabilities"]
    first, second = p.topk(2, dim=-1).values.unbind(-1)
    out = tried(rule, case.inputs, COLD)
    missed = 1 - out.gather(-1, p.argmax(-1, keepdim=True))[:, 0]
    return Found(torch.where(second < CLEAR * first, missed, 0.0), case.inputs)


def _anchored(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    base = case.inputs["base"]
    before, after = _kl(base, case.inputs["student"]), _kl(base, tried(rule, case.inputs))
    apart = before > TINY_DISTANCE
    pull = torch.where(apart, 1 - after / before, 1.0)
    least = {"least pull": (float(pull.min()), min)}
    return Found((spec.least_pull - pull).clamp(min=0), case.inputs, least)


def _fixed_point(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    base = case.inputs["base"]
    same = Inputs(student=base, base=base)
    return Found(_gap(tried(rule, same), base), same)


def _non_expansion(rule: Rule, case: Case, spec: AxiomSpec) -> Found:
    base = case.inputs["base"]
    before, after = _kl(base, case.inputs["student"]), _kl(base, tried(rule, case.inputs))
    return Found((after - before).clamp(min=0), case.inputs)


def _tolerance(spec: AxiomSpec) -> float:
    return spec.tolerance


def _nothing(spec: AxiomSpec) -> float:
    return 0.0


AXIOMS: dict[str, dict[str, tuple[Callable[..., Found], Callable[[AxiomSpec], float]]]] = {
    "softening": {
        "ranking preservation": (_ranking, _tolerance),
        "continuity in T": (_continuity_in_temperature, _tolerance),
        "entropy non-decreasing in T": (_entropy_rises, _tolerance),
        "identity at T=1": (_identity, _tolerance),
        "uniform as T tends to infinity": (_uniform_limit, _tolerance),
        "argmax as T tends to 0": (_argmax_limit, _tolerance),
    },
    "pool": {
        "convexity preservation": (_convexity, _tolerance),
        "positivity inheritance": (_positivity, _nothing),
        "continuity": (_continuity, _tolerance),
        "weight monotonicity": (_weight_monotonicity, _tolerance),
        "temperature coherence": (_temperature_coherence, _tolerance),
    },
    "anchoring": {
        "A1 simplex-valued": (_simplex, _tolerance),
        "A2 positive": (_positivity, _nothing),
        "A3 continuous": (_continuity, _tolerance),
        "A4 anchored": (_anchored, _nothing),
        "A5 fixed point": (_fixed_point, _tolerance),
        "A6 non-expansion": (_non_expansion, _tolerance),
    },
}
