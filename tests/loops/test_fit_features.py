"""Features of other widths meet through a projector that learns with the student."""

import signal

import numpy as np
import pytest
import torch
from torch import nn

from limbeck.data import from_arrays
from limbeck.errors import ArgumentError, Interrupted
from limbeck.functional import feature_mse_loss, soft_target_loss
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim, fit
from limbeck.objectives import Term, Variational, label_term, soft_term
from limbeck.outputs import Outputs
from limbeck.run import Run
from limbeck.teachers import teacher

OPTIM = Optim("sgd", lr=0.05)


def network(width, seed=0):
    with torch_seeded(seed):
        return nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(width, 3),
        )  # fmt: skip


@pytest.fixture(scope="module")
def data():
    x = np.random.default_rng(0).random((40, 1, 6, 6)).astype(np.float32)
    return from_arrays(x, np.arange(40) % 3, test=(x[:9], np.arange(9) % 3))


def hint():
    return Term("hint", feature_mse_loss, student="features.1", teacher="features.1", project=True)


def trained(folder, data, objective, steps=12):
    student = network(4)
    told = teacher(network(8, seed=1), features=["1"])
    fit(Run(folder), "student", student, data, told, objective, OPTIM, steps, batch_size=16)
    return student


def test_a_hint_reaches_the_student_through_a_projector(data, tmp_path):
    objective = soft_term("classification") + 10.0 * hint()
    student = trained(tmp_path, data, objective)
    term = next(one for one in objective.modules() if isinstance(one, Term) and one.project)
    assert term.projector.weight.shape == (8, 4, 1, 1)
    with torch_seeded(0):
        plain = trained(tmp_path / "plain", data, soft_term("classification"))
    assert not torch.equal(student[0].weight, plain[0].weight)


def test_the_projector_learns_and_is_the_same_for_the_same_seed(data, tmp_path):
    objectives = [hint() for _ in range(3)]
    for number, (objective, steps) in enumerate(zip(objectives, (1, 12, 12), strict=True)):
        trained(tmp_path / str(number), data, objective, steps)
    first, second, third = (one.projector.weight for one in objectives)
    assert not torch.equal(first, second)
    assert torch.equal(second, third)


def test_a_stopped_run_goes_on_with_its_projector(data, tmp_path):
    whole = trained(tmp_path / "whole", data, hint())
    calls = []

    def stopping(student, teacher):
        calls.append(1)
        if len(calls) == 6:
            signal.raise_signal(signal.SIGINT)
        return feature_mse_loss(student, teacher)

    objective = Term("hint", stopping, student="features.1", teacher="features.1", project=True)
    with pytest.raises(Interrupted):
        trained(tmp_path / "stopped", data, objective)
    again = trained(tmp_path / "stopped", data, hint())
    assert torch.equal(whole[0].weight, again[0].weight)


def test_what_cannot_be_projected_is_named(data, tmp_path):
    wrong = Term("w", feature_mse_loss, student="features.1", teacher="logits", project=True)
    with pytest.raises(ArgumentError, match="name other modules"):
        trained(tmp_path, data, wrong)
    said = Outputs(features={"1": torch.zeros(2, 4)})
    with pytest.raises(ArgumentError, match="call prepare"):
        hint()(said, said, {})
    with pytest.raises(ArgumentError, match="reads only one of them"):
        Term("w", feature_mse_loss, teacher=None, project=True)


def test_columns_of_the_batch_become_keywords(data):
    def masked(student, target, *, mask):
        return (soft_target_loss(student, target, reduction="none") * mask).sum() / mask.sum()

    z = Outputs(logits=torch.randn(4, 3))
    told = Outputs(logits=torch.randn(4, 3))
    term = Term("soft", masked, columns={"mask": "valid"})
    valid = torch.tensor([1.0, 0.0, 1.0, 0.0])
    value = term(z, told, {"valid": valid})["soft"]
    expected = soft_target_loss(z.logits[::2], told.logits[::2])
    torch.testing.assert_close(value, expected)
    assert term.targets == {"valid"}
    assert label_term("classification").targets == {"y"}


def test_variances_learn_with_the_student(data, tmp_path):
    vid = Variational("vid", student="features.1", teacher="features.1")
    whole = trained(tmp_path, data, label_term("classification") + vid)
    assert vid.likelihood.log_variance.shape == (8,)
    assert (vid.likelihood.log_variance != 0).all()
    again = Variational("vid", student="features.1", teacher="features.1")
    second = trained(tmp_path / "again", data, label_term("classification") + again)
    assert torch.equal(whole[0].weight, second[0].weight)
