"""The axiom checker: what passes, what fails and why, for operators here and rules of others."""

import json

import pytest
import torch

from limbeck.errors import ArgumentError
from limbeck.functional import (
    Anchoring,
    AxiomSpec,
    Pooling,
    Softening,
    anchored_teacher,
    check_axioms,
    power_pool,
    soften,
)

SMALL = {"classes": (2, 10), "trials": 60}


@pytest.mark.parametrize(
    ("rule", "failed"),
    [
        (Pooling(1.0), ["temperature coherence"]),
        (Pooling(0.0), []),
        (Pooling(0.0, weights=(0.2, 0.5, 0.3)), []),
        (Pooling(0.5), ["temperature coherence"]),
        (Pooling(-1.0), ["temperature coherence"]),
        (Anchoring(0.3), []),
        (Anchoring(0.3, "geometric"), []),
        (Anchoring(1.0), []),
        (Anchoring(0.0), ["A4 anchored"]),
        (Anchoring(0.0, "geometric"), ["A4 anchored"]),
        (Softening(), []),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_verdicts_on_our_operators(rule, failed):
    report = check_axioms(rule, AxiomSpec(**SMALL))
    assert report.failed == failed
    assert report.passed == (not failed)
    assert report.rule == rule.name


def test_the_linear_pool_commutes_with_softening_towards_uniform():
    assert check_axioms(Pooling(1.0), AxiomSpec(**SMALL, softening="uniform")).passed
    assert check_axioms(Pooling(0.0), AxiomSpec(**SMALL, softening="uniform")).failed == [
        "temperature coherence"
    ]


def test_softening_towards_uniform_holds_from_one_on_only():
    rule = Softening(family="uniform")
    assert check_axioms(rule, AxiomSpec(**SMALL, temperatures=(1.0, 2.0, 8.0))).passed

    def unaware(probabilities, temperature):
        return soften(probabilities, temperature=temperature, family="uniform")

    report = check_axioms(unaware, AxiomSpec("softening", **SMALL))
    assert "argmax as T tends to 0" in report.failed
    assert "needs at least 1" in report["ranking preservation"].reason


def winner(members, weights):
    sure = members.amax(-1).argmax(0)
    return members[sure, torch.arange(len(sure))]


def first_only(members, weights):
    return members[0]


def floored(members, weights):
    pooled = power_pool(members, weights)
    return torch.where(pooled < 0.05, 0.0, pooled)


def backwards(student, base):
    away = student * (student / base).clamp(max=2)
    return away / away.sum(-1, keepdim=True)


def shaken(student, base):
    mixed = anchored_teacher(student, base)
    return 0.9 * mixed + 0.1 * mixed.flip(-1)


@pytest.mark.parametrize(
    ("rule", "kind", "broken"),
    [
        (winner, "pool", {"continuity"}),
        (floored, "pool", {"convexity preservation", "positivity inheritance", "continuity"}),
        (first_only, "pool", set()),
        (lambda members, weights: power_pool(members, 1 / weights), "pool",
         {"weight monotonicity"}),
        (backwards, "anchoring", {"A4 anchored", "A6 non-expansion"}),
        (shaken, "anchoring", {"A5 fixed point"}),
        (lambda p, t: soften(p, temperature=1 / t), "softening",
         {"entropy non-decreasing in T", "uniform as T tends to infinity",
          "argmax as T tends to 0"}),
        (lambda p, t: p.flip(-1) if t > 3 else p, "softening",
         {"ranking preservation", "continuity in T"}),
        (lambda p, t: soften(p, temperature=2 * t), "softening", {"identity at T=1"}),
    ],
)  # fmt: skip
def test_rules_of_others_fail_what_they_break(rule, kind, broken):
    report = check_axioms(rule, AxiomSpec(kind, **SMALL))
    assert broken <= set(report.failed)


def test_a_counter_example_shows_the_failure_by_itself():
    report = check_axioms(winner, AxiomSpec("pool", **SMALL))
    found = report["continuity"].counter_example
    here, there = found["members"][:, None], found["other_members"][:, None]
    assert float((here - there).abs().sum()) < 1e-12
    apart = (winner(here, None) - winner(there, None)).abs().sum()
    assert float(apart) == pytest.approx(report["continuity"].violation)

    report = check_axioms(Anchoring(0.0), AxiomSpec(**SMALL))
    found = report["A4 anchored"].counter_example
    assert set(found) == {"student", "base"}
    torch.testing.assert_close(Anchoring(0.0)(**_named(found)), found["student"])


def _named(found):
    return {"student": found["student"], "teacher": found["base"]}


def test_steep_is_not_broken_and_a_small_jump_is():
    def steep(members, weights):
        return soften(power_pool(members, weights), temperature=0.01)

    def jump(members, weights):
        pooled = power_pool(members, weights)
        lifted = pooled + 1e-4 * (pooled == pooled.amax(-1, keepdim=True))
        return lifted / lifted.sum(-1, keepdim=True)

    spec = AxiomSpec("pool", classes=(3,), trials=100)
    verdict = check_axioms(steep, spec)["continuity"]
    assert verdict.passed
    assert verdict.measured["steepest slope"] > 10
    assert not check_axioms(jump, spec)["continuity"].passed


def test_seeds_decide_and_reports_are_saved(tmp_path):
    first, again = (check_axioms(winner, AxiomSpec("pool", **SMALL, seed=3)) for _ in range(2))
    other = check_axioms(winner, AxiomSpec("pool", **SMALL, seed=4))
    assert first.to_plain() == again.to_plain()
    assert first.to_plain() != other.to_plain()
    first.save(tmp_path / "axioms.json")
    stored = json.loads((tmp_path / "axioms.json").read_text())
    (entry,) = [one for one in stored["verdicts"] if one["axiom"] == "continuity"]
    assert (entry["passed"], entry["seed"]) == (False, 3)
    assert entry["trials"] >= SMALL["trials"]
    assert len(entry["counter_example"]["members"]) == 3
    assert "BROKEN continuity" in str(first)
    assert ["continuity", "no"] in [row[:2] for row in first.table()[1]]


def test_a_rule_that_raises_or_gives_no_number_fails():
    def picky(members, weights):
        if float(members.max()) > 0.999:
            raise RuntimeError("too sure")
        return power_pool(members, weights)

    report = check_axioms(picky, AxiomSpec("pool", classes=(3,), concentrations=(10.0, 0.1)))
    assert "raised RuntimeError: too sure" in report["continuity"].reason

    def undefined(members, weights):
        pooled = power_pool(members, weights)
        return torch.where(pooled > 0.9, torch.nan, pooled)

    report = check_axioms(undefined, AxiomSpec("pool", **SMALL))
    assert {"convexity preservation", "positivity inheritance"} <= set(report.failed)
    json.dumps(report.to_plain(), allow_nan=False)


def test_rules_that_cannot_be_called_are_refused():
    with pytest.raises(ArgumentError, match=r"the kind of rule is None.*AxiomSpec\(kind="):
        check_axioms(power_pool)
    with pytest.raises(ArgumentError, match="the kind of rule is 'pol'"):
        check_axioms(power_pool, AxiomSpec("pol"))
    with pytest.raises(ArgumentError, match=r"cannot be called as rule\(members.*TypeError"):
        check_axioms(lambda members: members[0], AxiomSpec("pool"))
    with pytest.raises(ArgumentError, match=r"gives \(24, 1\).*expected a tensor \(24, 2\)"):
        check_axioms(
            lambda members, weights: members[0][:, :1],
            AxiomSpec("pool", classes=(2,), trials=24),
        )
    with pytest.raises(ArgumentError, match=r"classes \(1,\)"):
        AxiomSpec(classes=(1,))
    with pytest.raises(ArgumentError, match="least is 0"):
        AxiomSpec(least=0.0)
    with pytest.raises(ArgumentError, match="there is no axiom 'continuty'"):
        check_axioms(Pooling(), AxiomSpec(**SMALL))["continuty"]


def test_a_rule_that_works_in_place_is_judged_by_what_it_gives():
    def pooled(members, weights):
        members.log_().mul_(weights[:, None, None])
        return members.sum(0).softmax(-1)

    def mixed(student, base):
        return student.mul_(0.7).add_(base.mul_(0.3))

    def softened(probabilities, temperature):
        return probabilities.log_().div_(temperature).softmax(-1)

    assert check_axioms(pooled, AxiomSpec("pool", **SMALL)).failed == []
    assert check_axioms(mixed, AxiomSpec("anchoring", **SMALL)).failed == []
    assert check_axioms(softened, AxiomSpec("softening", **SMALL)).failed == []


def test_softening_is_tried_where_it_is_defined():
    report = check_axioms(Softening(2.0, "uniform"), AxiomSpec(**SMALL))
    assert report.failed == []
    assert "argmax as T tends to 0" not in [one.axiom for one in report.verdicts]
    assert check_axioms(Softening(2.0), AxiomSpec(**SMALL))["argmax as T tends to 0"].passed
    with pytest.raises(ArgumentError, match="the rule is defined for 1 and more"):
        check_axioms(Softening(2.0, "uniform"), AxiomSpec(temperatures=(0.5,), **SMALL))
    with pytest.raises(ArgumentError, match="softening 'uniform'.*one of at least 1"):
        AxiomSpec(softening="uniform", temperatures=(0.5,))
