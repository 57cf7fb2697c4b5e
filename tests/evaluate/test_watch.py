"""Settings become a loop: every one of them arrives, and patience decides which weights stay."""

from types import SimpleNamespace

import pytest
import torch

from limbeck.data import Views, digits
from limbeck.evaluate import watch
from limbeck.evaluate.watch import fit_as_set, validation_watch
from limbeck.keyed import torch_seeded
from limbeck.loops import Optim, fit
from limbeck.networks.names import build
from limbeck.objectives import label_term
from limbeck.run import Run

SETTINGS = {
    "steps": 12,
    "batch_size": 20,
    "accumulate": 2,
    "patience": None,
    "look_every": 3,
    "optim": Optim(lr=1e-2),
    "views": Views(crop=1),
}


@pytest.fixture(scope="module")
def data():
    return digits().few(60)


def student(data):
    with torch_seeded(1):
        return build("mlp?hidden=8", data.input_space, data.outputs)


def as_set(folder, data, **changes):
    network = student(data)
    settings = SimpleNamespace(**{**SETTINGS, **changes})
    objective = label_term("classification")
    trained = fit_as_set(settings, Run(folder), "student", network, data, None, objective)
    return network, trained


def test_it_is_fit_with_the_settings(data, tmp_path):
    network, trained = as_set(tmp_path / "set", data)
    other = student(data)
    fit(
        Run(tmp_path / "fit"), "student", other, data, None, label_term("classification"),
        Optim(lr=1e-2), 12, batch_size=20, views=Views(crop=1), accumulate=2,
    )  # fmt: skip
    assert torch.equal(network[1].weight, other[1].weight)
    assert (trained.step, trained.best_step) == (12, None)


@pytest.mark.parametrize(
    "change", [{"batch_size": 30}, {"optim": Optim(lr=2e-2)}, {"views": Views()}, {"steps": 13}]
)
def test_every_setting_changes_the_outcome(data, tmp_path, change):
    network, _ = as_set(tmp_path / "a", data)
    other, _ = as_set(tmp_path / "b", data, **change)
    assert not torch.equal(network[1].weight, other[1].weight)


def test_patience_looks_at_the_validation_samples(data, tmp_path, monkeypatch):
    asked = []

    def noted(data, *, every, patience, name="student"):
        asked.append((every, patience))
        return validation_watch(data, every=every, patience=patience, name=name)

    monkeypatch.setattr(watch, "validation_watch", noted)
    _, trained = as_set(tmp_path / "run", data, patience=1)
    assert asked == [(3, 1)]
    assert trained.best_step in (3, 6, 9, 12)
