"""Small sets are judged by networks that are the same for every set, and learn from it alone."""

import dataclasses
import json
import signal

import numpy as np
import pytest
import torch

from limbeck import keyed
from limbeck.data import Subset, TensorSplit, digits, from_arrays, whitened
from limbeck.data.prepared import Pixels, Prepared
from limbeck.errors import ArgumentError, Interrupted, ModelError
from limbeck.evaluate import fresh_networks
from limbeck.evaluate import protocol as judging
from limbeck.evaluate.fresh_networks import Case, trained
from limbeck.evaluate.protocol import SOFT_LABELS, Protocol
from limbeck.evaluate.synthetic_sets import judge
from limbeck.networks.fresh import fresh
from limbeck.run import Run
from limbeck.run.run import Options
from limbeck.selection import random_selection

PROTOCOL = Protocol(network="mlp?hidden=16", repeats=2, steps=60, lr=0.1, augmentation="none")


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def small(data):
    chosen = random_selection(data.train.y, 3, 0)
    return dataclasses.replace(data, train=Subset(data.train, chosen))


def here(folder, seed=0):
    return Run(folder, seed=seed, options=Options(executor="serial"))


def test_the_figures_are_those_of_a_plain_loop(data, small, tmp_path):
    """One network trained by hand from the same weights on whole batches, where order is nought."""
    found = judge(here(tmp_path), "few", small, dataclasses.replace(PROTOCOL, repeats=1))
    key = keyed.key(0, "judged", "mlp?hidden=16", 0)
    network = fresh("mlp?hidden=16", data.input_space, 10, key)
    columns = data.normalise(data.columns(small.train, np.arange(30)))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    for step in range(60):
        if step == 30:
            optimiser.param_groups[0]["lr"] = 0.01
            optimiser.state.clear()
        loss = torch.nn.functional.cross_entropy(network(columns["x"]), columns["y"])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    tested = data.normalise(data.columns(data.test, np.arange(len(data.test))))
    with torch.no_grad():
        right = network(tested["x"]).argmax(1) == tested["y"]
    assert found.mean == pytest.approx(float(right.double().mean()), abs=0.01)


def test_rows_have_quality_and_cost(small, tmp_path):
    protocol = dataclasses.replace(PROTOCOL, others=("cnn?width=4",), repeats=3)
    found = judge(here(tmp_path), "few", small, protocol)
    first, second = found.rows()
    assert (first["name"], first["role"]) == ("few", "product")
    assert (second["name"], second["role"]) == ("few on cnn?width=4", "reference")
    accuracies = found.accuracies()
    assert len(accuracies) == 3
    assert all(0.3 < one <= 1 for one in accuracies)
    assert first["quality"]["accuracy"] == pytest.approx(np.mean(accuracies))
    assert first["quality"]["accuracy_std"] == pytest.approx(np.std(accuracies))
    assert (found.mean, found.std) == pytest.approx((np.mean(accuracies), np.std(accuracies)))
    cost = first["cost"]
    # 30 images of 64 bytes and as many labels of 8.
    assert (cost["images"], cost["bytes"]) == (30, 30 * (64 + 8))
    assert cost["parameters"] == 64 * 16 + 16 + 16 * 10 + 10
    assert cost["macs"] == 64 * 16 + 16 * 10
    assert cost["train_seconds"] > 0
    assert found.selected == "last iterate"


def test_jobs_side_by_side_find_the_same(small, tmp_path):
    alone = judge(here(tmp_path / "a"), "few", small, PROTOCOL)
    beside = judge(Run(tmp_path / "b"), "few", small, PROTOCOL)
    assert alone.accuracies() == beside.accuracies()


def test_another_set_is_judged_by_the_same_networks(data, small, tmp_path, monkeypatch):
    begun = []
    plain = judging.fit

    def noting(run, stage, network, *rest, **options):
        begun.append((stage, [one.clone() for one in network.parameters()]))
        return plain(run, stage, network, *rest, **options)

    monkeypatch.setattr(judging, "fit", noting)
    other = dataclasses.replace(
        data, train=Subset(data.train, random_selection(data.train.y, 1, 1))
    )
    for name, one in (("few", small), ("other", other)):
        judge(here(tmp_path), name, one, PROTOCOL)
    judge(here(tmp_path, seed=1), "few", small, dataclasses.replace(PROTOCOL, repeats=1))
    names, weights = zip(*begun, strict=True)
    assert names == ("judged-0", "judged-1", "judged-0", "judged-1", "judged-0")
    for first, second in ((0, 2), (1, 3)):
        assert all(map(torch.equal, weights[first], weights[second]))
    # Another repeat and another seed are other networks.
    for other in (1, 4):
        assert not any(map(torch.equal, weights[0], weights[other]))


def test_what_is_finished_is_kept(small, tmp_path, monkeypatch):
    first = judge(here(tmp_path), "few", small, PROTOCOL)
    monkeypatch.setattr(judging, "fit", None)
    again = judge(here(tmp_path), "few", small, PROTOCOL)
    # Fewer repeats and another name are the same networks.
    fewer = judge(here(tmp_path), "so few", small, dataclasses.replace(PROTOCOL, repeats=1))
    assert first.figures == again.figures
    assert fewer.accuracies() == first.accuracies()[:1]
    with pytest.raises(TypeError):
        judge(here(tmp_path), "few", small, PROTOCOL, lr=0.02)


def test_a_stopped_judgement_goes_on(small, tmp_path, monkeypatch):
    whole = judge(here(tmp_path / "whole"), "few", small, PROTOCOL)
    plain, seen = judging.fit, []

    class Stopping(Run):
        def at(self, stage, step):
            if stage == "judged-1" and step == 20 and not seen:
                seen.append(step)
                signal.raise_signal(signal.SIGINT)
            return super().at(stage, step)

    def fit(run, *rest, **options):
        return plain(Stopping(run.dir, seed=run.seed, options=run.options), *rest, **options)

    monkeypatch.setattr(judging, "fit", fit)
    with pytest.raises(Interrupted):
        judge(here(tmp_path / "cut"), "few", small, PROTOCOL)
    assert seen
    found = judge(here(tmp_path / "cut"), "few", small, PROTOCOL)
    assert found.accuracies() == whole.accuracies()
    steps = [
        json.loads(line)["step"]
        for file in (tmp_path / "cut").rglob("metrics.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert sorted(steps) == sorted([*range(1, 61)] * 2)


def test_soft_labels_decide_over_classes(data, small, tmp_path):
    """Labels that say the next class: a network that reads them is wrong on purpose."""
    columns = small.train.take(np.arange(30))
    said = 8.0 * torch.nn.functional.one_hot((columns["y"] + 1) % 10, 10).float()
    soft = dataclasses.replace(small, train=TensorSplit({**columns, SOFT_LABELS: said}))
    assert judge(here(tmp_path), "few", small, PROTOCOL).mean > 0.5
    found = judge(here(tmp_path), "soft", soft, PROTOCOL)
    assert found.mean < 0.2
    assert found.bytes == 30 * (64 + 8 + 40)


def test_the_best_on_validation_is_taken_and_said(data, small, tmp_path):
    """Validation and test are opposite here: what is best on one is worst on the other."""
    protocol = dataclasses.replace(
        PROTOCOL, steps=40, repeats=1, selection="validation", look_every=5
    )
    wrong = TensorSplit(
        {**data.validation.take(np.arange(100)), "y": (data.validation.y[:100] + 1) % 10}
    )
    found = judge(here(tmp_path), "few", dataclasses.replace(small, validation=wrong), protocol)
    assert found.selected == "best iterate on the validation split of the training data"
    last = judge(here(tmp_path), "few", small, dataclasses.replace(protocol, selection="last"))
    assert found.mean < last.mean
    assert found.figures[protocol.network][0]["step"] < 40


@pytest.mark.parametrize("rising", [True, False])
def test_the_last_iterate_is_looked_at_whatever_the_steps(small, tmp_path, monkeypatch, rising):
    """Looks at 40 and 80 of 90 steps, and at 90: only a higher score takes its place."""
    protocol = dataclasses.replace(
        PROTOCOL, steps=90, repeats=1, selection="validation", look_every=40
    )
    looks, plain = [], judging.validation_watch

    def told(*arguments, **options):
        def score(models):
            looks.append(
                {name: one.clone() for name, one in models["student"].state_dict().items()}
            )
            return float(len(looks) if rising else -len(looks))

        return dataclasses.replace(plain(*arguments, **options), score=score)

    monkeypatch.setattr(judging, "validation_watch", told)
    seen, collected = [], fresh_networks.collect

    def noting(source, data, split):
        seen.append(source.__closure__[0].cell_contents.state_dict())
        return collected(source, data, split)

    monkeypatch.setattr(fresh_networks, "collect", noting)
    found = judge(here(tmp_path), "few", small, protocol)
    assert len(looks) == 3
    assert found.figures[found.main][0]["step"] == (90 if rising else 40)
    kept = looks[2 if rising else 0]
    assert all(torch.equal(seen[0][name], tensor) for name, tensor in kept.items())


def test_an_object_and_a_name_are_rows_of_their_own(small, tmp_path):
    """An object takes the place of the main network, whose name may be among the others."""
    own = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    protocol = dataclasses.replace(PROTOCOL, repeats=1, others=(PROTOCOL.network,))
    found = judge(here(tmp_path), "few", small, protocol, network=own)
    rows = found.rows()
    assert [one["name"] for one in rows] == ["few", "few on mlp?hidden=16"]
    assert [one["cost"]["parameters"] for one in rows] == [650, 64 * 16 + 16 + 16 * 10 + 10]
    assert found.main == "Sequential"
    assert found.mean == rows[0]["quality"]["accuracy"]


@pytest.mark.parametrize("scored", ["test", "validation"])
def test_what_a_network_must_not_see_does_not_travel(small, scored):
    case = Case(small, PROTOCOL, "mlp", scored=scored)
    light = fresh_networks._light(case)
    sizes = len(light.validation), len(light.test)
    assert sizes == ((1, 450) if scored == "test" else (136, 1))
    held = light.train.take(np.arange(30))
    assert all(torch.equal(held[n], v) for n, v in small.train.take(np.arange(30)).items())
    assert len(light.train.columns["x"]) == 30


def test_a_whitening_travels_only_where_it_is_read(data):
    white, zca = whitened(data)
    ready = Prepared.of(white, Pixels(data.input_space, zca))
    for augmentation, expected in (("cifar", ready.pixels), ("dsa", Pixels())):
        protocol = dataclasses.replace(PROTOCOL, augmentation=augmentation)
        assert fresh_networks._light(Case(ready, protocol, "mlp")).pixels == expected


def test_equal_cases_are_trained_once(small, tmp_path, monkeypatch):
    counted, plain = [], judging.fit
    monkeypatch.setattr(judging, "fit", lambda *a, **b: counted.append(1) or plain(*a, **b))
    found = trained(here(tmp_path), [Case(small, PROTOCOL, "mlp")] * 3)
    assert len(counted) == 1
    assert found[0] == found[1] == found[2]


def test_pictures_are_changed_while_networks_learn(small, tmp_path):
    plain, cut = (
        judge(here(tmp_path), "few", small, dataclasses.replace(PROTOCOL, augmentation=one))
        for one in ("none", "cifar")
    )
    assert plain.accuracies() != cut.accuracies()


def test_a_convnet_with_siamese_views_learns(small, tmp_path):
    """The published protocol in small."""
    protocol = Protocol(network="convnet-d2?width=8", repeats=1, epochs=60, lr=0.05)
    assert judge(here(tmp_path), "few", small, protocol).mean > 0.5


def test_wrong_sets_and_names_are_refused(small, tmp_path):
    numbers = from_arrays(np.zeros((50, 4)), np.linspace(0, 1, 50))
    with pytest.raises(ArgumentError, match="only sets for classification"):
        judge(here(tmp_path), "numbers", numbers, PROTOCOL)
    unknown = dataclasses.replace(PROTOCOL, others=("mpl",))
    with pytest.raises(ModelError, match="did you mean mlp"):
        judge(here(tmp_path), "few", small, unknown)
    assert not list(tmp_path.iterdir())
