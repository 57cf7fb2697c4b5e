"""Trials: what several claims ask of a seed is computed once."""

from __future__ import annotations

from limbeck.claims import Trial


def figures_of(folder, seed):
    """A function of a seed that notes how often it is called."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "calls").open("a") as calls:
        calls.write("one\n")
    return {"figure": 0.5 + seed}


def test_figures_of_a_seed_are_computed_once(tmp_path):
    trial = Trial("kd", tmp_path, seeds=(3,))
    first = trial.of_seeds(figures_of, "settings")
    again = Trial("kd", tmp_path, seeds=(3,)).of_seeds(figures_of, "settings")
    assert first == again == {"figure": [3.5]}
    assert [one.read_text() for one in tmp_path.rglob("calls")] == ["one\n"]
    trial.of_seeds(figures_of, "other settings")
    assert len(list(tmp_path.rglob("calls"))) == 2


def test_damaged_figures_are_computed_anew(tmp_path):
    trial = Trial("kd", tmp_path, seeds=(3,))
    trial.of_seeds(figures_of)
    (kept,) = tmp_path.rglob("figures.json")
    kept.write_text('{"figure": 9.0}')
    assert trial.of_seeds(figures_of) == {"figure": [3.5]}
