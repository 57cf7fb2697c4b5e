"""Alignment of the pressure: what it says where it falls short, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from limbeck.data.boxes import with_molecules
from limbeck.data.frames import join
from limbeck.data.names import resolve
from limbeck.errors import (
    ArgumentError,
    DivergedError,
    NoEffectWarning,
    RunError,
    SettingsError,
    UnusualUseWarning,
)
from limbeck.evaluate import force_exhibits
from limbeck.evaluate.force_exhibits import force_sheets
from limbeck.evaluate.liquids import densities
from limbeck.loops import force_alignment, force_densities, force_pressure
from limbeck.loops.force_alignment import (
    aligned_boxes,
    check_boxes,
    frames_of_boxes,
    wanted_changes,
)
from limbeck.loops.force_densities import Held
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
    how = {"by": "pressure", "picoseconds": 0.01, "settling": 0.001, "timestep": 0.5, **options}
    return Alignment(density=[density], densities=how, frames=3, rates=[1e-9], **QUICK)


def told_of(data, pressure, place=0):
    frames = with_molecules(data.liquid)
    frames = join([frames.replace(positions=frames.positions + n) for n in range(5)])
    return Held(0.3 + place, pressure, 12.5, frames)


def test_the_pressure_of_a_box_at_its_density_tells_what_is_missing(data, tmp_path, monkeypatch):
    seen = []

    def simulated(run, word, jobs, how):
        seen.extend(jobs)
        return [told_of(data, pressure) for pressure in (500.0, -200.0)]

    monkeypatch.setattr(force_alignment, "simulated_boxes", simulated)
    boxes = join([with_molecules(data.liquid)] * 2)
    alignment = Alignment(
        density=[0.3, 0.4], densities={"by": "pressure", "pressure": 7.0}, frames=3
    )
    told, (frames, box) = wanted_changes(Run(tmp_path), None, boxes, alignment)
    # Less pressure is wanted where there is too much, more where there is too little.
    assert told["wanted"] == [-493.0, 207.0]
    assert (told["pressure"], told["pressure_error"]) == ([500.0, -200.0], [12.5, 12.5])
    assert told["density_wanted"] == [0.3, 0.4]
    # Boxes are brought to their densities and held there.
    assert [pressure for _, _, pressure in seen] == [None, None]
    assert [float(densities(one)[0]) for _, one, _ in seen] == pytest.approx([0.3, 0.4])
    assert box.tolist() == [0, 0, 0, 1, 1, 1]
    first = frames.positions[frames.bounds[:-1], 0] - data.liquid.positions[0, 0]
    assert first == pytest.approx([0, 2, 4, 0, 2, 4])


def test_a_student_is_aligned_on_its_own_frames_at_the_density(data, tmp_path, monkeypatch):
    (network, _) = teachers(data)
    seen = []
    aligning = force_alignment.aligned_force_field

    def watched(run, network, frames, *more):
        seen.append(frames)
        return aligning(run, network, frames, *more)

    monkeypatch.setattr(force_alignment, "aligned_force_field", watched)
    with pytest.warns(UnusualUseWarning, match="are wanted"):
        told = aligned_boxes(Run(tmp_path), network, None, data, held(0.3))
    assert densities(seen[0]) == pytest.approx(0.3)
    assert len(seen[0]) == 3
    assert told["wanted"] == [1.0 - told["pressure"][0]]
    assert np.isfinite([*told["pressure_after"], *told["density_after"]]).all()
    (sheet,) = force_sheets({"alignment": told})
    assert sheet.heads == ["", "box 0"]
    cells = dict(sheet.rows)
    assert cells["density wanted, g/cm³"] == "0.3"
    sure = f" ± {float(format(told['pressure_error'][0], '.2g')):g}"
    assert cells["pressure at the density wanted, atm"] == f"{told['pressure'][0]:.4g}{sure}"


def test_a_box_that_breaks_off_at_its_density_leaves_the_student(data, tmp_path, monkeypatch):
    broken = told_of(data, float("nan"))
    monkeypatch.setattr(force_alignment, "simulated_boxes", lambda *given: [broken])
    with pytest.warns(UnusualUseWarning, match="not aligned: dynamics of box 0 at 0.3 g/cm3"):
        told = aligned_boxes(Run(tmp_path), None, None, data, held(0.3))
    assert set(told) == {"left"}


@pytest.mark.parametrize("density", [0.0, 1e-3, 1063.0, float("inf"), float("nan")])
def test_a_density_in_another_unit_is_refused(density):
    with pytest.raises(SettingsError, match=f"density is {density:g}, expected g/cm3"):
        Alignment(density=[density])


def test_a_density_at_which_molecules_touch_is_refused_before_anything_learns(data):
    check_boxes(held(0.6), data)
    with pytest.raises(ArgumentError, match="alignment.density is 5 g/cm3 for box 0, whose mol"):
        check_boxes(held(5.0), data)


def test_what_finds_a_change_has_no_effect_without_a_density(data):
    with pytest.warns(NoEffectWarning, match="alignment.density is not given"):
        check_boxes(Alignment(densities={"by": "pressure"}), data)


def test_an_aligned_density_is_simulated_again(data, tmp_path, monkeypatch):
    after = iter([0.97, float("nan")])

    def found(run, word, jobs, how):
        assert all(pressure == how.pressure for _, _, pressure in jobs[::2])
        seen = [next(after)] if word == "after" else [0.9, 0.95]
        return [Held(one, 0.0, 0.0, data.liquid) for one in seen]

    monkeypatch.setattr(force_alignment, "simulated_boxes", found)
    monkeypatch.setattr(force_densities, "simulated_boxes", found)
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
    assert sheet.rows[-1] == ["density afterwards, g/cm³", "0.93", "broke off"]


def test_errors_are_told_in_two_digits():
    assert force_exhibits._cells([5950.4, None], [239.6, None]) == ["5950 ± 240", "broke off"]
