"""A rehearsal foretells what the real run does, and leaves nothing behind."""

import copy
import json

import pytest
import torch
from torch import nn

from limbeck import KD, MealV2, files, rehearsal
from limbeck.data import digits
from limbeck.errors import RunError
from limbeck.evaluate.memory import Saved
from limbeck.method import complete
from limbeck.rehearsal import Rehearsal
from limbeck.run import Run
from limbeck.teachers import ensemble, teacher

NAMES = {"teacher": ["mlp?hidden=300", "cnn?width=32"], "student": "mlp?hidden=200x100"}
STEPS, TAUGHT = 70, 60
TEACHING = {"steps": TAUGHT, "batch_size": 32}
METHODS = {
    "kd": KD(steps=STEPS, batch_size=20, teaching=TEACHING),
    "meal-v2": MealV2(steps=STEPS, initial_steps=65, batch_size=20, teaching=TEACHING),
}


@pytest.fixture(scope="module")
def data():
    return digits().few(100)


@pytest.fixture(scope="module", params=METHODS)
def both(request, data, tmp_path_factory):
    """A real run and the rehearsal of the same."""
    inputs = {**NAMES, "data": data}
    real = Run(tmp_path_factory.mktemp("real"))
    complete(METHODS[request.param], real, inputs)
    tried = Rehearsal(tmp_path_factory.mktemp("tried"))
    complete(METHODS[request.param], tried, inputs)
    tried.close()
    return real, tried


@pytest.fixture
def small(data, monkeypatch):
    """A rehearsal of two given teachers, and how long each loop goes on."""
    monkeypatch.setattr(rehearsal, "SECONDS", 0.0)

    def rehearse(folder, method, given, **options):
        run = Rehearsal(folder)
        try:
            complete(method, run, {"teacher": given, "student": network(), "data": data} | options)
        finally:
            run.close()
        return run

    return rehearse


def network(width=4):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_every_stage_and_its_steps_are_foretold(both):
    real, tried = both
    rows = [json.loads(line) for line in (real.dir / "metrics.jsonl").read_text().splitlines()]
    done = {}
    for row in rows:
        done[row["stage"]] = max(row["step"], done.get(row["stage"], 0))
    assert {name: one.steps for name, one in tried.stages.items()} == done
    assert list(tried.stages) == list(done)


def test_no_stage_was_gone_through(both):
    for stage in both[1].stages.values():
        assert 0 < stage.tried < stage.steps
        assert stage.seconds > 0


def test_parameters_and_weights_are_the_real_ones(both):
    real, tried = both
    assert (real.dir / "checkpoints" / "alone").is_dir()
    for place in (real.dir / "checkpoints").iterdir():
        (step,) = place.iterdir()
        for file in step.glob("*.safetensors"):
            tensors = files.load_tensors(file)[0].values()
            count = sum(tensor.numel() for tensor in tensors)
            found = [(one.parameters, one.weights) for one in tried.networks
                     if one.stage == place.name and "frozen" not in one.name]  # fmt: skip
            assert (count, 4 * count) in found
    trained = {one.stage: one for one in tried.networks if one.stage.startswith("teacher")}
    assert trained["teacher-0"].parameters == 64 * 300 + 300 + 300 * 10 + 10


def test_checkpoints_are_as_large_as_foretold(both):
    real, tried = both
    stages = {name: one for name, one in tried.stages.items() if one.stays}
    assert {place.name for place in (real.dir / "checkpoints").iterdir()} == set(stages)
    for name, stage in stages.items():
        assert stage.checkpoint == pytest.approx(size_of(real.dir / "checkpoints" / name), rel=0.04)


def test_kept_stages_are_as_large_as_foretold(both):
    real, tried = both
    kept = {file.name.rpartition("-")[0]: file for file in (real.dir / "stages").iterdir()}
    assert set(kept) == set(tried.stored) == {"teacher-0", "teacher-1"}
    for name, file in kept.items():
        assert tried.stored[name] == pytest.approx(file.stat().st_size, rel=0.05)


def test_the_product_is_as_large(both):
    real, tried = both
    assert size_of(tried.dir / "product") == size_of(real.dir / "product")


def test_no_checkpoint_and_no_stage_is_written(both):
    tried = both[1]
    assert not (tried.dir / "checkpoints").exists()
    assert not (tried.dir / "stages").exists()


def test_gradients_and_optimisers_of_what_learns(both):
    for one in both[1].networks:
        frozen = "frozen" in one.name
        assert one.gradients == (0 if frozen else 4 * one.parameters)
        assert (one.optimiser == 0) == frozen


def test_memory_holds_all_that_a_step_needs(both):
    for stage in both[1].stages.values():
        mine = [one for one in both[1].networks if one.stage == stage.stage]
        needed = sum(one.weights + one.gradients + one.optimiser for one in mine)
        assert stage.memory > needed + stage.activations
        assert stage.activations > 0


@pytest.mark.parametrize(
    ("method", "calls"),
    [
        (KD(steps=STEPS, batch_size=20), {"student": 2 * STEPS, "alone": 0}),
        (KD(steps=STEPS, batch_size=20, accumulate=2), {"student": 4 * STEPS, "alone": 0}),
        (MealV2(steps=STEPS, initial_steps=0, batch_size=20, aggregate="random_one"),
         {"student": STEPS, "alone": 0}),
    ],
    ids=["both", "in pieces", "one of them"],
)  # fmt: skip
def test_calls_of_the_teachers_are_counted(small, tmp_path, method, calls):
    run = small(tmp_path, method, [network(), network()])
    assert {name: stage.teacher_calls for name, stage in run.stages.items()} == calls


def test_a_given_teacher_is_left_as_it_was(small, tmp_path):
    big = network()
    small(tmp_path, KD(steps=STEPS), ensemble(teacher(big)))
    assert not big._forward_hooks


def test_frozen_teachers_stand_at_the_stage_that_asks_them(small, tmp_path):
    run = small(tmp_path, KD(steps=STEPS), [network(7)])
    (frozen,) = [one for one in run.networks if "frozen" in one.name]
    assert (frozen.stage, frozen.parameters) == ("student", 64 * 7 + 7 + 7 * 10 + 10)


def test_a_loop_shorter_than_a_rehearsal_is_timed_too(small, tmp_path):
    run = small(tmp_path, KD(steps=1), [network()])
    assert run.stages["student"].tried == 1
    assert run.stages["student"].seconds > 0


def test_looks_at_validation_are_counted(small, tmp_path):
    run = small(tmp_path, KD(steps=STEPS, patience=3, look_every=10), [network()])
    assert run.stages["student"].looks == 7


def test_where_there_is_no_room_no_step_is_taken(small, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "free_bytes", lambda device: 0)
    run = small(tmp_path, KD(steps=STEPS, teaching=TEACHING), NAMES["teacher"])
    assert list(run.stages) == ["teacher-0", "teacher-1", "student", "alone"]
    for stage in run.stages.values():
        assert (stage.tried, stage.seconds) == (0, None)
        trained = [one for one in run.networks
                   if one.stage == stage.stage and "frozen" not in one.name]  # fmt: skip
        assert stage.checkpoint == sum(one.weights + one.optimiser for one in trained)


def test_a_step_that_wants_more_than_there_is_ends_the_rehearsal(small, tmp_path, monkeypatch):
    # Room for weights and what belongs to them, and not for the pictures.
    monkeypatch.setattr(rehearsal, "free_bytes", lambda device: 20_000)
    run = Rehearsal(tmp_path)
    given = {"teacher": [network()], "student": network(), "data": digits()}
    with pytest.raises(MemoryError, match="for its way back"):
        complete(KD(steps=STEPS, batch_size=1000), run, given)
    run.close()
    (stage,) = run.stages.values()
    assert (stage.stage, stage.tried, stage.seconds) == ("student", 0, None)
    assert stage.memory > run.room
    (student,) = [one for one in run.networks if "frozen" not in one.name]
    assert stage.checkpoint == student.weights + student.optimiser


def test_where_steps_take_long_fewer_are_taken(small, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "LONGEST", 0.0)
    run = small(tmp_path, KD(steps=STEPS), [network()])
    assert [stage.tried for stage in run.stages.values()] == [1, 1]
    assert all(stage.seconds > 0 for stage in run.stages.values())


def test_a_step_that_fails_leaves_autograd_as_it_was(small, tmp_path, monkeypatch):
    class Failing(nn.Module):
        """Gives logits that are no numbers once it trains."""

        def __init__(self):
            super().__init__()
            self.body = network()

        def forward(self, x):
            return self.body(x) * (float("nan") if self.training else 1.0)

    with pytest.raises(RunError, match="not finite"):
        small(tmp_path, KD(steps=STEPS), [network()], student=Failing())
    counted = []
    monkeypatch.setattr(Saved, "take", lambda *said: counted.append(said))
    torch.zeros(8, requires_grad=True).exp().sum().backward()
    assert not counted


def test_a_copy_of_a_frozen_network_is_no_teacher(tmp_path):
    """A student that begins as its teacher is copied after the teacher was looked at."""
    run = Rehearsal(tmp_path)
    try:
        teacher = run.engine.place(nn.Linear(2, 2))
        learner = copy.deepcopy(teacher)
        learner(torch.zeros(1, 2))
        assert run._calls.count == 0
        teacher(torch.zeros(1, 2))
        assert run._calls.count == 1
    finally:
        run.close()
