"""Every strategy: no candidate twice, the same after a stop, and what is refused is counted."""

import signal

import pytest

from limbeck import keyed
from limbeck.errors import ArgumentError, Interrupted
from limbeck.loops.fitness import by, fitness_named, rank_sum
from limbeck.loops.search import Limits, Rejected, Search, search
from limbeck.networks.spaces import Space
from limbeck.run import Run

SPACE = Space({name: range(5) for name in "abcdef"}, lambda **choices: "mlp")
BEST = (4, 0, 2, 1, 3, 4)


def nearness(code):
    return {"score": -float(sum(abs(one - best) for one, best in zip(code, BEST, strict=True)))}


def found_by(folder, strategy, evaluations=120, run=Run, **options):
    how = Search(strategy=strategy, evaluations=evaluations, population=20, **options)
    return search(run(folder), "search", SPACE, nearness, how)


class Stopping(Run):
    """A run whose user presses Ctrl-C once a candidate is logged."""

    def log(self, **row):
        super().log(**row)
        if row["step"] == 45:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("strategy", ["random", "evolve", "evolve-elite", "optuna"])
def test_a_stopped_search_finds_the_same(strategy, tmp_path):
    evaluations = 60 if strategy == "optuna" else 120
    whole = found_by(tmp_path / "whole", strategy, evaluations)
    assert len(whole.history) == len({one.code for one in whole.history}) == evaluations
    with pytest.raises(Interrupted, match="after 45 candidates"):
        found_by(tmp_path / "stopped", strategy, evaluations, run=Stopping)
    again = found_by(tmp_path / "stopped", strategy, evaluations)
    assert again == whole
    rows = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "stopped")]
    assert rows[0].count("\n") == rows[1].count("\n") == evaluations
    # Done: nothing is scored again.
    assert search(Run(tmp_path / "whole"), "search", SPACE, None, Search("random")) == whole


@pytest.mark.parametrize("strategy", ["evolve", "evolve-elite", "optuna"])
def test_a_strategy_finds_more_than_chance(strategy, tmp_path):
    best = {
        name: found_by(tmp_path / name, name).ranked(by("score"))[0].scores["score"]
        for name in ("random", strategy)
    }
    assert best[strategy] > best["random"]


def test_all_are_taken_once(tmp_path):
    space = Space({"a": range(3), "b": range(4)}, lambda **choices: "mlp")
    found = search(Run(tmp_path), "all", space, lambda code: {"score": code[1]}, Search())
    assert [one.code for one in found.history] == list(space.codes())
    assert found.ranked(by("score"))[0].code == (0, 3)


def test_a_large_space_is_not_enumerated(tmp_path):
    with pytest.raises(ArgumentError, match="15,625 candidates and evaluations is 1,000"):
        search(Run(tmp_path), "all", SPACE, nearness, Search())


def test_what_is_refused_is_counted(tmp_path):
    def score(code):
        Limits(depth=2).check({"depth": code[0]})
        return nearness(code)

    found = search(Run(tmp_path), "random", SPACE, score, Search("random", evaluations=50))
    assert len(found.history) == 50
    assert max(one.code[0] for one in found.history) == 2
    assert found.rejected["depth"] > 10
    assert "the limit is 2" in found.told["depth"]


def test_a_search_that_refuses_can_be_stopped(tmp_path):
    asked = []

    def score(code):
        asked.append(code)
        if len(asked) == 7:
            signal.raise_signal(signal.SIGINT)
        raise Rejected("depth", "too deep")

    with pytest.raises(Interrupted, match="after 0 candidates"):
        search(Run(tmp_path), "random", SPACE, score, Search("random", evaluations=5))
    assert len(asked) == 7
    again = []
    with pytest.raises(Interrupted, match="after 0 candidates"):
        search(Run(tmp_path), "random", SPACE, _stopping(again), Search("random", evaluations=5))
    assert not {*again} & {*asked}


def _stopping(asked):
    def score(code):
        asked.append(code)
        signal.raise_signal(signal.SIGINT)
        raise Rejected("depth", "too deep")

    return score


def test_codes_of_another_space_are_not_read_back(tmp_path):
    found_by(tmp_path, "random", 5)
    other = Space({name: range(4) for name in "abcdef"}, lambda **choices: "mlp")
    with pytest.raises(ArgumentError, match="is of another space"):
        search(Run(tmp_path), "search", other, nearness, Search("random", evaluations=5))


def test_a_search_without_a_candidate_says_why(tmp_path):
    def score(code):
        raise Rejected("no network", "blocks is 0")

    with pytest.raises(ArgumentError, match=r"could be scored: .* for no network .*blocks is 0"):
        search(Run(tmp_path), "random", SPACE, score, Search("random", evaluations=5))


def test_a_space_that_is_spent_ends_the_search(tmp_path):
    space = Space({"a": range(3)}, lambda a: "mlp")
    how = Search("evolve", evaluations=50, population=2)
    found = search(Run(tmp_path), "few", space, lambda code: {"score": code[0]}, how)
    assert {one.code for one in found.history} == {(0,), (1,), (2,)}


def test_time_ends_the_search(tmp_path):
    how = Search("random", evaluations=1000, seconds=1e-6)
    with pytest.raises(ArgumentError, match="none were refused"):
        search(Run(tmp_path), "late", SPACE, nearness, how)


def test_draws_are_not_those_of_torch(tmp_path):
    import torch

    state = torch.get_rng_state()
    found_by(tmp_path, "evolve", 30)
    assert torch.equal(state, torch.get_rng_state())
    assert keyed.key(0) == keyed.key(0)


def test_ranks_give_scores_the_same_say():
    table = [{"a": 1.0, "b": 1e6}, {"a": 2.0, "b": 2e6}, {"a": 3.0, "b": -float("inf")}]
    assert rank_sum("a", "b")(table) == [0.25, 0.75, 0.5]
    assert fitness_named("sum", ("a", "b"))(table)[0] == 1e6 + 1
    with pytest.raises(ArgumentError, match="score is 'mean'"):
        fitness_named("mean", ("a", "b"))
