"""A contest gives every entry the same frame, and says what cannot be compared."""

import pytest

from limbeck import cards
from limbeck.comparison import Contest, contest
from limbeck.errors import RunError, SettingsError


def by_name(planned):
    return {entry.name: entry for entry in planned.entries}


def test_phases_share_the_same_total():
    planned = contest(["none", "kd", "meal-v2"], preset="demo", steps=700)
    entries = by_name(planned)
    assert entries["kd"].settings["steps"] == entries["none"].settings["steps"] == 700
    meal = entries["meal-v2"].settings
    # 400 and 600 in its preset.
    assert (meal["initial_steps"], meal["steps"]) == (280, 420)
    assert planned.steps == 700


@pytest.mark.parametrize("total", [2, 3, 7, 999, 1001])
def test_shares_always_sum_to_the_total(total):
    meal = by_name(contest(["none", "meal-v2"], preset="demo", steps=total))["meal-v2"].settings
    assert meal["initial_steps"] + meal["steps"] == total
    assert min(meal["initial_steps"], meal["steps"]) >= 1


def test_the_first_method_sets_the_frame():
    planned = contest(["none", "meal-v2", "kd"], preset="demo")
    entries = by_name(planned)
    assert planned.steps == 1000
    teaching = [entry.settings["teaching"] for entry in planned.entries]
    assert teaching[0] == teaching[1] == teaching[2]
    assert teaching[0]["steps"] == cards.preset("meal-v2", "demo")["settings"]["teaching"]["steps"]
    assert entries["kd"].settings["steps"] == 1000
    assert planned.seeds == (0, 1, 2, 3, 4)


def test_changes_reach_those_that_have_the_setting():
    changes = {"temperature": 2.0, "batch_size": 16, "meal-v2": {"optim": {"lr": 0.5}}}
    entries = by_name(contest(["kd", "kd:dkd", "meal-v2"], preset="tiny", changes=changes))
    assert entries["kd"].settings["temperature"] == entries["kd:dkd"].settings["temperature"] == 2
    assert "temperature" not in entries["meal-v2"].settings
    assert entries["meal-v2"].settings["optim"]["lr"] == 0.5
    assert {entry.settings["batch_size"] for entry in entries.values()} == {16}
    assert entries["kd:dkd"].settings["loss"] == "dkd"


def test_a_phase_of_one_entry_can_be_fixed():
    changes = {"meal-v2": {"initial_steps": 5}}
    meal = by_name(contest(["kd", "meal-v2"], preset="tiny", changes=changes))["meal-v2"].settings
    assert (meal["initial_steps"], meal["steps"]) == (5, 15)


def test_a_contest_is_read_back_from_its_tables(tmp_path):
    import tomli_w

    planned = contest(
        ["none", "kd:dkd"], preset="tiny", seeds=[3, 4], options={"threads": 1, "device": "cpu"}
    )
    (tmp_path / "settings.toml").write_text(tomli_w.dumps(planned.identity()))
    again = Contest.read(tmp_path, {"device": "cpu"})
    assert again == planned
    (tmp_path / "settings.toml").write_text("method = 'kd'\n")
    with pytest.raises(RunError, match="holds no comparison"):
        Contest.read(tmp_path, {})


@pytest.mark.parametrize(
    ("names", "more", "said"),
    [
        (["none", "kdd"], {}, "no entry 'kdd'; did you mean kd"),
        (["none", "kd:dkdd"], {}, "no loss 'dkdd'; did you mean dkd"),
        (["none", "kd:rkd-distance"], {}, "student='features.PATH'"),
        (["none", "kd:cross-entropy"], {}, "reads no teacher"),
        (["kd", "meal-v2:dkd"], {}, "meal-v2 has no setting loss"),
        (["none"], {}, "two or more different entries"),
        (["kd", "kd"], {}, "kd twice"),
        ([], {}, "got nothing"),
        (["none", "kd"], {"preset": "demoo"}, "did you mean demo"),
        (["none", "kd"], {"preset": None}, "add --teacher NAME --student NAME --data NAME"),
        (["none", "kd"], {"changes": {"temprature": 2}}, "did you mean temperature"),
        (["none", "kd"], {"changes": {"kd": {"temprature": 2}}}, "did you mean temperature"),
        (["none", "kd"], {"changes": {"kd": 2}}, "kd is an entry"),
        (["none", "kd"], {"changes": {"steps": 2}}, "use --steps"),
        (["none", "kd"], {"changes": {"kd": {"teaching": {"steps": 1}}}}, "teachers are shared"),
        (["none", "kd"], {"changes": {"kd": {"steps": 3}}}, "kd cannot share 20 steps"),
        (["none", "meal-v2"], {"steps": 1}, "meal-v2 cannot share 1 steps out"),
        (["none", "kd"], {"changes": {"temperature": -1}}, "greater than 0"),
    ],
)
def test_what_cannot_be_compared_is_said_before_anything_is_done(names, more, said):
    with pytest.raises(SettingsError, match=said):
        contest(names, **{"preset": "tiny", **more})
