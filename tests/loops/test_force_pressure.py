"""Alignment of the pressure: what it says where it falls short, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.data.boxes import with_molecules
from limbeck.data.frames import join
from limbeck.data.names import resolve
from limbeck.errors import DivergedError, RunError, SettingsError, UnusualUseWarning
from limbeck.evaluate.force_exhibits import force_sheets
from limbeck.evaluate.liquids import densities
from limbeck.loops import force_alignment, force_pressure
from limbeck.loops.force_alignment import aligned_boxes, frames_of_boxes, wanted_changes
from limbeck.loops.force_pressure import Alignment, aligned_force_field
from limbeck.run import Run
from limbeck.testing.forces import teachers

QUICK = {"epochs": 1, "batch_size": 4}


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=30&box=4")


def aligned(data, folder, wanted=(-300.0,), frames=1, **options):
    box = with_molecules(join([data.liquid] * frames))
    places = np.zeros(len(box), dtype=np.int64)
    alignment = Alignment(pressure_change=wanted, **{**QUICK, **options})
    (network, _) = teachers(data)
    return aligned_force_field(Run(folder), network, box, places, data, alignment, wanted)


def test_rates_are_a_ladder_from_the_published_one():
    rates = Alignment().rates
    assert rates[0] == 1e-12
    assert rates[-1] == 1e-7
    assert list(rates) == sorted(rates)


def test_a_change_that_falls_short_is_told(data, tmp_path):
    # At such rates weights move, and pressures hardly do.
    said = r"moved by -?[\d.e-]+ atm and -300 are wanted: no rate moved it further"
    with pytest.warns(UnusualUseWarning, match=said):
        told = aligned(data, tmp_path, rates=[1e-30])
    assert np.isfinite(told["moved"]).all()


def test_a_rate_at_which_the_student_diverges_is_told(data, tmp_path, monkeypatch):
    def diverges(*given):
        raise DivergedError("NaN")

    monkeypatch.setattr(force_pressure, "_aligned", diverges)
    said = "at the rate 1e-08 it diverges; the force field is left as it was"
    with pytest.warns(UnusualUseWarning, match=said):
        told = aligned(data, tmp_path, rates=[1e-8])
    assert told["moved"] == [0.0]


def test_a_rate_at_which_forces_become_worse_is_not_taken(data, tmp_path, monkeypatch):
    errors = iter([2.0, 2.05, 2.2])
    monkeypatch.setattr(force_pressure, "force_error", lambda *given: next(errors))
    monkeypatch.setattr(force_pressure.Past, "moved", lambda past, network: np.array([-50.0]))
    said = r"moved by -50 atm and -300 are wanted: at the rate 2e-30 the error .* from 2 to 2.2 "
    with pytest.warns(UnusualUseWarning, match=said + r".*by more than 5%; at the rate 1e-30 it"):
        told = aligned(data, tmp_path, rates=[1e-30, 2e-30, 3e-30])
    assert (told["rate"], told["force_error_after"]) == (1e-30, 2.05)


def test_a_change_of_zero_is_reached_at_once():
    reached = force_pressure._reached
    assert reached(np.array([0.0]), np.array([0.0]), 0.1)
    assert reached(np.array([-300.0, 20.0]), np.array([-300.0, 0.0]), 0.1)
    assert not reached(np.array([-200.0, 0.0]), np.array([-300.0, 0.0]), 0.1)


def test_a_box_without_frames_is_named():
    with pytest.raises(RunError, match="box 1 has no frame"):
        frames_of_boxes(np.array([0, -1, 0]), 2, 5)


def test_one_frame_of_a_box_is_enough(data, tmp_path):
    with pytest.warns(UnusualUseWarning, match="are wanted"):
        told = aligned(data, tmp_path, rates=[1e-30])
    assert np.isfinite(told["moved"]).all()


def test_density_and_change_are_not_given_both():
    with pytest.raises(SettingsError, match="give one of them"):
        Alignment(density=[1.0], pressure_change=[5.0])


@pytest.mark.parametrize(
    ("found", "said"),
    [([0.9, np.nan], "box 0 at 1001 atm broke off"), ([0.9, 0.8], "is 0.9 g/cm3 at 1 atm")],
)
def test_densities_that_tell_nothing_leave_the_student(data, tmp_path, monkeypatch, found, said):
    monkeypatch.setattr(force_alignment, "densities_of", lambda *given: found)
    with pytest.warns(UnusualUseWarning, match=f"not aligned: .*{said}"):
        told, _ = wanted_changes(Run(tmp_path), None, data.liquid, Alignment(density=[1.0]))
    assert set(told) == {"left"}
    (sheet,) = force_sheets({"alignment": told})
    assert "Left as it was" in sheet.caption


def held(density, **options):
    how = {"by": "pressure", "picoseconds": 0.004, "settling": 0.001, "timestep": 0.5, **options}
    return Alignment(density=[density], densities=how, frames=3, rates=[1e-9], **QUICK)


def test_the_pressure_of_a_box_at_its_density_tells_what_is_missing(data, tmp_path):
    (network, _) = teachers(data)
    told, (frames, box) = wanted_changes(
        Run(tmp_path), network, data.liquid, held(0.3, pressure=7.0)
    )
    assert told["wanted"] == [7.0 - told["pressure"][0]]
    # Its own frames, at that density and not at the one of the start, are what it is aligned on.
    assert len(frames) == 3
    assert box.tolist() == [0, 0, 0]
    assert densities(frames) == pytest.approx(0.3)
    assert densities(data.liquid) != pytest.approx(0.3, abs=0.05)
    again, _ = wanted_changes(Run(tmp_path), network, data.liquid, held(0.3, pressure=7.0))
    assert again == told


def test_a_student_is_aligned_on_frames_of_boxes_held_at_their_density(data, tmp_path, monkeypatch):
    (network, _) = teachers(data)
    monkeypatch.setattr(force_alignment, "densities_of", lambda *given: [0.31])
    with pytest.warns(UnusualUseWarning, match="are wanted"):
        told = aligned_boxes(Run(tmp_path), network, None, data, held(0.3))
    assert told["density_after"] == [0.31]
    (sheet,) = force_sheets({"alignment": told})
    assert sheet.heads[3] == "pressure at the density wanted before, atm"


def test_a_box_that_breaks_off_at_its_density_leaves_the_student(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        force_alignment, "pressures_at", lambda *given: [(data.liquid, float("nan"))]
    )
    with pytest.warns(UnusualUseWarning, match="not aligned: dynamics of box 0 at 0.3 g/cm3"):
        told = aligned_boxes(Run(tmp_path), None, None, data, held(0.3))
    assert set(told) == {"left"}


def test_an_aligned_density_is_simulated_again(data, tmp_path, monkeypatch):
    after = iter([0.97, float("nan")])

    def found(run, word, jobs, how):
        assert all(pressure == how.pressure for _, _, pressure in jobs[::2])
        return [next(after)] if word == "after" else [0.9, 0.95]

    monkeypatch.setattr(force_alignment, "densities_of", found)
    alignment = Alignment(density=[0.91], rates=[1e-30], **QUICK)
    for place, density in enumerate([0.97, None]):
        (network, _) = teachers(data)
        drawn = data.liquid, np.zeros(1, dtype=np.int64)
        with pytest.warns(UnusualUseWarning, match="-200 are wanted"):
            told = aligned_boxes(Run(tmp_path / f"{place}"), network, drawn, data, alignment)
        assert told["density_after"] == [density]


def test_a_density_afterwards_is_shown():
    told = {
        "wanted": [-5.0, -5.0], "moved": [-4.0, -4.0], "rate": 1e-9, "force_error_before": 1.0,
        "force_error_after": 1.1, "density_after": [0.93, None],
    }  # fmt: skip
    (sheet,) = force_sheets({"alignment": told})
    assert [row[-1] for row in sheet.rows] == ["0.93", "broke off"]
