"""What is BAMBOO's own; the contract is in tests/contract."""

import json

import numpy as np
import pytest
import torch

import limbeck
from limbeck.data.boxes import with_box, with_molecules
from limbeck.data.elements import formula_of
from limbeck.data.names import resolve
from limbeck.errors import (
    ArgumentError,
    DataError,
    ModelError,
    NoEffectWarning,
    UnknownNameError,
    UnusualUseWarning,
)
from limbeck.evaluate.force_exhibits import force_sheets
from limbeck.evaluate.forces import answers
from limbeck.loops.force_distilling import Turns, only, parted
from limbeck.loops.force_fields import fresh_force_field, of_quality, trained_members
from limbeck.loops.force_frames import drawn_frames, told_frames
from limbeck.loops.force_pressure import Past
from limbeck.method import complete
from limbeck.methods.bamboo.bamboo import BAMBOO
from limbeck.run import Run
from limbeck.run.exhibits import read_exhibits
from limbeck.run.run import Options
from limbeck.testing.forces import teachers

STUDENT = "get?width=8&heads=2&layers=2&radial=4&pair_cutoff=6"
SETTINGS = {
    "members": 2,
    "gate": 10.0,
    "training": {"epochs": 2, "batch_size": 8, "optim": {"clip": 1000.0}},
    "sampling": {
        "picoseconds": 0.003, "clusters": 2, "cluster_picoseconds": 0.002, "every": 0.001,
    },
    "distillation": {"epochs": 1, "frames": 2, "batch_size": 4, "optim": {"lr": 1e-3}},
}  # fmt: skip


def tiny(**settings):
    return BAMBOO(**{**SETTINGS, **settings})


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=30&box=4")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    run = Run(tmp_path_factory.mktemp("bamboo") / "run")
    made, baselines, ready = complete(tiny(), run, {"data": data, "student": STUDENT})
    rows, _ = made.compared(run, "bamboo", baselines, ready)
    return run, made, ready, rows


@pytest.fixture(scope="module")
def field(finished):
    return finished[1]


def test_the_table_has_product_baseline_ensemble_and_members(finished):
    _, made, ready, rows = finished
    assert [(row["name"], row["role"]) for row in rows] == [
        ("bamboo", "product"), ("student alone", "baseline"), ("ensemble", "ensemble"),
        ("member 0", "teacher"), ("member 1", "teacher"),
    ]  # fmt: skip
    for row in rows:
        assert {"force_rmse_kcal_mol_a", "energy_rmse_kcal_mol_atom"} <= set(row["quality"])
        assert {"parameters", "force_ms", "atoms", "bytes"} <= set(row["cost"])
    # Members that know nothing may break a simulation off.
    assert 0 < made.facts["frames"] <= 3 * 2 + 2 * 2
    assert len(made.facts["errors"]) == len(ready["teacher"]) == 2
    assert made.facts["labelled"] == [len(ready["data"].train), len(ready["data"].validation)]


def test_the_report_tells_members_and_what_they_are_unsure_of(finished):
    run, made, _, _ = finished
    charts, sheets, _ = read_exhibits(run.dir)
    assert charts[0].names == ["H", "C", "N", "O"]
    x, y = charts[1].lines[0].x, charts[1].lines[0].y
    assert list(x) == sorted(x)
    assert all(one > 0 for one in y)
    (sheet,) = sheets
    assert sheet.rows[0] == ["member 0", f"{made.facts['errors'][0]:.3f}"]
    told = {"wanted": [-5.0], "moved": [-4.0], "rate": 1e-9, "force_error_before": 1.0}
    (aligned,) = force_sheets({"alignment": {**told, "force_error_after": 1.1, "density": [0.9]}})
    assert aligned.rows == [
        ["density before, g/cm³", "0.9"], ["change wanted, atm", "-5"], ["moved, atm", "-4"]
    ]  # fmt: skip


def test_only_the_perceptron_of_energies_differs_from_the_member(finished):
    _, made, ready, _ = finished
    before, after = ready["teacher"][0].state_dict(), made.network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"energy"}


def test_targets_are_the_mean_of_the_members(data, tmp_path):
    members = teachers(data)
    told, spread = told_frames(Run(tmp_path), members, data.test)
    each = [answers(one, data.test) for one in members]
    for name in ("energy", "forces", "virial"):
        mean = np.mean([getattr(one, name) for one in each], axis=0)
        assert getattr(told, name) == pytest.approx(mean, rel=1e-4, abs=1e-4)
    deviation = np.std([one.forces for one in each], axis=0, ddof=1)
    assert spread == pytest.approx(np.sqrt(np.square(deviation).mean()), rel=1e-4)
    alone, none = told_frames(Run(tmp_path / "one"), members[:1], data.test)
    assert none == 0.0
    assert alone.forces == pytest.approx(each[0].forces, rel=1e-5, abs=1e-5)


def test_frames_tell_their_box(data, tmp_path):
    method = tiny(sampling={**SETTINGS["sampling"], "clusters": 3})
    frames, box = drawn_frames(
        Run(tmp_path), teachers(data), data.train, data.liquid, method.sampling
    )
    assert 0 < (box == -1).sum() <= 3 * 2
    assert 0 < (box == 0).sum() <= 2 * 3
    assert (frames.periodic == (box == 0)).all()
    assert not frames.labels


def test_the_last_third_of_each_origin_is_kept_out():
    learn, judge = parted(np.array([-1, -1, -1, -1, 0, 0, 0, 1, 1, 2]))
    assert learn.tolist() == [0, 1, 4, 5, 7, 9]
    assert judge.tolist() == [2, 3, 6, 8, 9]


def test_steps_take_turns():
    class Source:
        def __init__(self, name):
            self.name = name

        def batch(self, step):
            return self.name, step

    turns = Turns(Source("a"), Source("b"))
    assert list(turns.batches(1, 4)) == [("b", 0), ("a", 1), ("b", 1)]


def test_members_are_trained_once_in_the_process_that_reads_them(data, tmp_path):
    run = Run(tmp_path, options=Options(executor="serial"))
    method = tiny()

    def fresh(number):
        return fresh_force_field(run, STUDENT, data, number)

    (_, error), _ = trained_members(run, fresh, data, method.training, 2)
    for number in range(2):
        stages = tmp_path / "jobs" / f"member-{number}" / "stages"
        assert len(list(stages.glob("*.safetensors"))) == 1
    (_, again), _ = trained_members(run, fresh, data, method.training, 2)
    assert again == error


def test_members_of_poor_quality_are_told_and_left_out():
    members = [(None, 6.0), (None, 5.0), (None, 9.0)]
    with pytest.warns(UnusualUseWarning, match=r"members 2 \(9\) are left out"):
        assert of_quality(members, 1.5) == [1, 0]


def test_a_part_that_is_not_there_is_told(data):
    (network, _) = teachers(data)
    with pytest.raises(ArgumentError, match="trained is 'engery'.*did you mean energy"):
        only(network, "engery")
    only(network, "energy")
    assert {
        name.split(".")[0] for name, one in network.named_parameters() if one.requires_grad
    } == {"energy"}


def test_alignment_moves_the_pressure_and_nothing_else(data, tmp_path):
    alignment = {
        "pressure_change": [-300.0], "frames": 6, "epochs": 20, "batch_size": 4, "guard": 10.0,
        "rates": [1e-9, 1e-8, 1e-7, 1e-6],
    }  # fmt: skip
    method = tiny(alignment=alignment)
    made, _, ready = complete(method, Run(tmp_path / "run"), {"data": data, "student": STUDENT})
    told = made.facts["alignment"]
    assert told["wanted"] == [-300.0]
    assert told["rate"] in alignment["rates"]
    assert -600 < told["moved"][0] < -100
    before, after = ready["teacher"][0].state_dict(), made.network.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"energy"}


def test_a_network_that_is_left_alone_has_not_moved(data):
    (network, _) = teachers(data)
    box = with_molecules(data.liquid)
    past = Past.of(network, box, np.zeros(1, dtype=np.int64), np.array([-5.0]))
    assert past.moved(network) == pytest.approx([0.0], abs=1e-6)


def test_a_rate_that_breaks_the_forces_is_not_taken(data, tmp_path):
    alignment = {
        "pressure_change": [-300.0], "frames": 3, "epochs": 2, "batch_size": 4, "rates": [1.0],
    }  # fmt: skip
    inputs = {"data": data, "student": STUDENT}
    with pytest.warns(UnusualUseWarning, match="left as it was"):
        made = tiny(alignment=alignment).distill(tmp_path / "run", **inputs)
    assert made.facts["alignment"]["moved"] == [0.0]


def test_members_that_are_there_are_not_trained_anew(finished, data, tmp_path):
    run = finished[0]
    again = tiny().distill(
        tmp_path / "run",
        data=data,
        student=STUDENT,
        teacher=[f"file:{run.dir}", *teachers(data)],
    )
    assert not list((tmp_path / "run" / "jobs").glob("member*"))
    assert len(again.facts["errors"]) == 3


@pytest.mark.parametrize(
    ("inputs", "error", "said"),
    [
        ({"teacher": ["file:nowhere"]}, UnknownNameError, "no force field"),
        ({"student": "mlp"}, ArgumentError, "option 'species'|without cutoff"),
        ({"liquid": "XeF6"}, DataError, "no frame of one molecule XeF6"),
        ({"liquid": "H2O?number=3"}, ArgumentError, "option 'number'.*count"),
        ({"liquid": "H2O?count=0"}, ArgumentError, "count is 0"),
    ],
)
def test_what_does_not_fit_is_refused(data, tmp_path, inputs, error, said):
    with pytest.raises(error, match=said):
        tiny().distill(tmp_path / "run", **{"data": data, "student": STUDENT, **inputs})


def never(*given):
    raise AssertionError("members were trained")


@pytest.mark.parametrize(
    ("settings", "inputs", "said"),
    [
        ({"alignment": {"density": [1.0]}}, {"liquid": "none"}, "no periodic box"),
        ({"alignment": {"pressure_change": [1.0, 2.0]}}, {}, "2 numbers for 1 boxes"),
        ({"sampling": {"clusters": 0}}, {"liquid": "none"}, "nothing gives frames.*--liquid"),
        (
            {"sampling": {"picoseconds": 0.0}, "alignment": {"density": [1.0]}},
            {},
            "sampling.picoseconds is 0",
        ),
        ({"distillation": {"trained": "engery"}}, {}, "distillation.trained is 'engery'"),
        (
            {"alignment": {"density": [1.0], "trained": "layers.9"}},
            {},
            "alignment.trained is 'layers.9'",
        ),
    ],
)
def test_what_does_not_fit_is_found_before_members_are_trained(
    data, tmp_path, monkeypatch, settings, inputs, said
):
    monkeypatch.setattr("limbeck.methods.bamboo.bamboo.trained_members", never)
    with pytest.raises(ArgumentError, match=said):
        tiny(**settings).distill(tmp_path / "run", data=data, student=STUDENT, **inputs)


def test_a_charged_box_is_found_before_members_are_trained(data, tmp_path, monkeypatch):
    monkeypatch.setattr("limbeck.methods.bamboo.bamboo.trained_members", never)
    box = data.liquid.replace(charge=np.array([1.0]))
    with pytest.raises(ArgumentError, match="box 0 has the charge 1.*ions"):
        tiny().distill(tmp_path, data=data, student=STUDENT, liquid=box)


def test_a_student_unlike_the_teachers_has_no_effect(data):
    from limbeck.methods.bamboo.bamboo import _warn_unlike
    from limbeck.networks.names import build

    members = teachers(data)
    _warn_unlike(members[1], members)
    with pytest.warns(NoEffectWarning, match="copy of the best teacher"):
        _warn_unlike(build("get?species=HCNO&width=16&heads=2", None, 1), members)


def test_members_are_shown_graphs_of_their_own_cutoffs(data, tmp_path):
    from limbeck.networks.names import build

    name = "get?species=HCNO&width=8&heads=2&layers=2&radial=4&cutoff={}&pair_cutoff={}"
    members = [build(name.format(*one), None, 1) for one in ((2.0, 5.0), (5.0, 9.0))]
    told, _ = told_frames(Run(tmp_path), members, data.liquid)
    mean = np.mean([answers(one, data.liquid).forces for one in members], axis=0)
    assert told.forces == pytest.approx(mean, rel=1e-4, abs=1e-4)


def test_the_distance_to_the_ensemble_on_frames_kept_out_is_told(finished):
    run, made, _, _ = finished
    apart = made.facts["apart"]
    # Weights of the best look are kept.
    assert apart["student"] > 0
    assert apart["member"] > 0
    _, (sheet,), _ = read_exhibits(run.dir)
    assert sheet.rows[-1] == [
        "student to their mean, on frames kept out", f"{apart['student']:.3f}"
    ]  # fmt: skip


def test_weights_of_the_best_look_are_kept(data, tmp_path, monkeypatch):
    from limbeck.loops import force_distilling
    from limbeck.loops.force_fields import force_distance

    looks = []

    def looked(network, frames):
        looks.append(force_distance(network, frames))
        return looks[-1]

    monkeypatch.setattr(force_distilling, "force_distance", looked)
    members = teachers(data)
    told, _ = told_frames(Run(tmp_path), members, data.train)
    # At such a rate it goes away from the ensemble again.
    how = {"epochs": 4, "frames": 7, "batch_size": 8, "optim": {"lr": 0.3}}
    distillation = force_distilling.ForceDistillation(**how)
    origin = np.full(len(told), -1)
    apart = force_distilling.distilled_force_field(
        Run(tmp_path), "student", members[0], told, origin, data, distillation
    )
    *seen, last = looks
    assert len(seen) == 4
    assert apart == last == min(seen) < max(seen)


def test_boxes_are_packed_from_molecules_of_the_data(data):
    found = with_box(data, ["H2O?count=5&density=0.9", "CH4?count=2"], seed=3).liquid
    assert found.counts.tolist() == [15, 10]
    assert found.periodic.all()
    assert len(set(found.molecule[:15].tolist())) == 5
    assert with_molecules(found.replace(molecule=None)).molecule.tolist() == found.molecule.tolist()
    assert with_box(data, None) is data
    assert with_box(data, "none").liquid is None


def test_formulas_are_those_of_chemists():
    assert formula_of(np.array([8, 6, 1, 1, 1, 1])) == "CH4O"
    assert formula_of(np.array([1, 8, 1])) == "H2O"
    assert formula_of(np.array([17, 11])) == "ClNa"


def test_a_force_field_says_what_its_calculator_says(field, data):
    from limbeck.data.atoms import to_atoms

    one = data.test.take([0]).without_labels()
    said = field.predict(one)
    (atoms,) = to_atoms(one)
    atoms.calc = field.calculator()
    assert atoms.get_forces() * 23.0605 == pytest.approx(said.forces, rel=1e-3, abs=1e-3)
    free = sum(field.free_atoms[number] for number in one.species.tolist())
    energy = atoms.get_potential_energy() - free
    assert energy * 23.0605 == pytest.approx(said.energy[0], rel=1e-3)
    assert field.predict([atoms]).energy == pytest.approx(said.energy, rel=1e-5)


def test_a_force_field_tells_wrong_uses(field):
    with pytest.raises(ArgumentError, match="Atoms"):
        field.predict("water")
    with pytest.raises(ModelError, match="reads atoms"):
        field.evaluate(resolve("digits"))
    with pytest.raises(ArgumentError, match="torch-export"):
        field.export("nowhere", to="onnx")


def test_a_force_field_survives_saving(field, data, tmp_path):
    field.save(tmp_path / "field")
    again = limbeck.load(tmp_path / "field")
    assert again.facts == json.loads(json.dumps(field.facts))
    assert again.free_atoms == field.free_atoms
    assert np.array_equal(again.predict(data.test).forces, field.predict(data.test).forces)


def test_a_force_field_is_exported_as_a_graph_of_torch(field, tmp_path):
    told = field.export(tmp_path / "graph", to="torch-export")
    assert told["largest_difference"] <= 1e-4
    assert {"force_field.json", "force_field.pt2"} <= set(told["files"])
    plain = field.export(tmp_path / "plain", to="safetensors")
    assert "network.safetensors" in plain["files"]
    assert limbeck.load(tmp_path / "plain").species == field.species
