"""Teachers given by name, as modules or as teachers become one frozen teacher of the classes."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from limbeck.data import digits, from_arrays
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning
from limbeck.evaluate.quality import collect, quality
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim
from limbeck.loops.teach import Teaching, taught
from limbeck.networks.names import build
from limbeck.run import Run
from limbeck.teachers import ensemble, teacher

SHORT = Teaching(steps=40, batch_size=64, optim=Optim(lr=5e-3))
NAME = "mlp?hidden=16"


@pytest.fixture(scope="module")
def data():
    return digits().few(100)


def network(data, seed=0, outputs=None):
    with torch_seeded(seed):
        return build(NAME, data.input_space, outputs or data.outputs)


def said(source, data):
    return collect(source, data, data.validation)[0]


def test_named_teachers_learn_once_from_the_rest(data, tmp_path):
    run = Run(tmp_path)
    first = taught(run, [NAME, NAME], data, SHORT)
    logits, target = collect(first, data, data.validation)
    assert quality(logits, target, data.task)["accuracy"] > 0.5
    assert [member.name for member in first.members] == [NAME, NAME]
    stages = sorted(place.name.split("-")[1] for place in (tmp_path / "stages").iterdir())
    assert stages == ["0", "1"]
    before = (tmp_path / "metrics.jsonl").read_bytes()
    again = taught(Run(tmp_path), [NAME, NAME], data, SHORT)
    assert again.fingerprint == first.fingerprint
    assert torch.equal(said(again, data), logits)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_teachers_of_one_name_differ_and_replay(data, tmp_path):
    first, second = taught(Run(tmp_path / "a"), [NAME, NAME], data, SHORT).members
    assert not torch.equal(said(first, data), said(second, data))
    elsewhere = taught(Run(tmp_path / "b"), [NAME, NAME], data, SHORT).members
    assert torch.equal(said(first, data), said(elsewhere[0], data))
    other = taught(Run(tmp_path / "c", seed=1), NAME, data, SHORT)
    assert not torch.equal(said(first, data), said(other, data))


def test_they_do_not_learn_what_the_student_learns_from(data, tmp_path):
    """With the student's labels spoilt, teachers are the same."""
    import dataclasses

    from limbeck.data import TensorSplit

    columns = data.train.take(np.arange(len(data.train)))
    spoilt = TensorSplit({**columns, "y": (columns["y"] + 1) % 10}, ids=data.train.ids)
    changed = dataclasses.replace(data, train=spoilt)
    first = taught(Run(tmp_path / "a"), NAME, data, SHORT)
    second = taught(Run(tmp_path / "b"), NAME, changed, SHORT)
    assert torch.equal(said(first, data), said(second, data))


def test_zero_steps_take_a_name_untrained(data, tmp_path):
    run = Run(tmp_path / "run")
    with pytest.warns(UnusualUseWarning, match="not trained"):
        big = taught(run, NAME, data, Teaching(steps=0))
    assert not big.members[0].modules[0].training
    assert not run.dir.exists()


def test_weights_from_a_file_are_taken_as_they_are(data, tmp_path):
    model = network(data, seed=3)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    run = Run(tmp_path / "run")
    big = taught(run, f"file:{tmp_path / 'w.safetensors'}?network={NAME}", data, SHORT)
    assert torch.equal(said(big, data), said(teacher(model), data))
    assert not run.dir.exists()


def test_modules_and_teachers_are_taken_as_they_are(data, tmp_path):
    run = Run(tmp_path)
    model, whole = network(data, 1), teacher(network(data, 2), name="second")
    both = taught(run, [model, whole], data, SHORT)
    assert both.members[1] is whole
    assert not any(one.requires_grad for one in model.parameters())
    pair = ensemble(whole, teacher(model))
    assert taught(run, pair, data, SHORT) is pair
    one = taught(run, model, data, SHORT)
    assert torch.equal(said(one, data), said(teacher(model), data))


@pytest.mark.parametrize("targets", ["numbers", "labels"])
def test_teachers_of_numbers_or_labels_are_averaged_as_such(tmp_path, targets):
    """Not as distributions over classes: the softmax of one number is always 1."""
    random = np.random.default_rng(0)
    y = random.normal(size=60) if targets == "numbers" else random.integers(0, 2, (60, 3))
    data = from_arrays(random.normal(size=(60, 4)), y)
    models = [network(data, seed) for seed in range(2)]
    both = taught(Run(tmp_path), models, data, SHORT)
    mean = sum(said(teacher(model), data) for model in models) / 2
    torch.testing.assert_close(said(both, data), mean)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([], ArgumentError, "zero teachers; give at least one, such as --teacher"),
        (None, ArgumentError, "zero teachers"),
        ([None], ArgumentError, "zero teachers"),
        (
            [3],
            ArgumentError,
            "teacher 0 is a int, expected a name, a module, a student, a fitted",
        ),
        ("mpl", ModelError, "no network 'mpl'; did you mean mlp"),
    ],
)
def test_what_is_no_teacher_is_refused(data, tmp_path, given, error, words):
    with pytest.raises(error, match=words):
        taught(Run(tmp_path / "run"), given, data, SHORT)
    assert not (tmp_path / "run").exists()


def test_teachers_of_other_classes_are_refused_by_name(data, tmp_path):
    wrong = teacher(network(data, outputs=7), name="wrong")
    right = teacher(network(data), name="right")
    words = "the teacher wrong gives 7 classes and digits has 10"
    with pytest.raises(ModelError, match=words):
        taught(Run(tmp_path), [right, wrong], data, SHORT)
    with pytest.raises(ModelError, match="gives 7 classes and digits has 10"):
        taught(Run(tmp_path), ensemble(wrong), data, SHORT)
