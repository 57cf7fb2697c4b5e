"""Samples are held against real ones: on the exact data they score as real samples do."""

import pytest
import torch

from limbeck.data.names import resolve
from limbeck.errors import ModelError
from limbeck.evaluate import generators
from limbeck.evaluate.generators import REAL, Pictures, Points, asked_labels, generator_rows
from limbeck.evaluate.judges import Judge, judge_of
from limbeck.networks.names import build
from limbeck.products import Generator
from limbeck.run import Run
from limbeck.samplers import FewStep, steps


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(generators, "POINTS", 600)
    monkeypatch.setattr(generators, "IMAGES", 120)
    monkeypatch.setattr("limbeck.evaluate.judges.STEPS", 40)


@pytest.fixture(scope="module")
def ring():
    return resolve("ring8-2c")


@pytest.fixture(scope="module")
def digits():
    return resolve("digits")


def first(split, data, count):
    """The first samples of a split and their labels."""
    columns = data.columns(split, torch.arange(count).numpy())
    return columns["x"], columns["y"]


class Fixed:
    """A stand-in for a generator that has its samples ready."""

    conditional = True

    def __init__(self, make):
        self.make = make

    def sample(self, labels, *, seed):
        return self.make(labels)

    def cost(self):
        return {"evaluations": 1.0, "parameters": 0, "macs": 0, "bytes": 0}


def test_the_exact_denoiser_is_as_good_as_real_samples(ring, tmp_path):
    exact = Generator.of(build("mixture?of=ring8-2c", ring.input_space, 2), steps(30), ring)
    (row, real), made = generator_rows(Run(tmp_path), {"exact": exact}, ring)
    assert row["quality"]["modes"] == real["quality"]["modes"] == 8
    assert row["quality"]["on_mode"] > 0.98
    assert row["quality"]["mode_entropy"] > 0.95
    assert row["quality"]["sliced_wasserstein"] < 2.5 * real["quality"]["sliced_wasserstein"]
    assert row["quality"]["mmd"] < 0.01
    assert abs(row["quality"]["spread"] - real["quality"]["spread"]) < 0.1
    assert set(row["cost"]) == {"evaluations", "sample_seconds", "parameters", "macs", "bytes"}
    assert real["cost"] == {}
    assert [len(one) for one in made.values()] == [600, 600]


def test_one_step_of_it_misses_the_modes(ring, tmp_path):
    exact = Generator.of(build("mixture?of=ring8-2c", ring.input_space, 2), steps(1), ring)
    (row, _), _ = generator_rows(Run(tmp_path), {"exact": exact}, ring)
    assert row["quality"]["on_mode"] < 0.1
    assert row["quality"]["sliced_wasserstein"] > 0.5


def test_samples_of_the_wrong_class_are_on_no_mode_of_theirs(ring, tmp_path):
    x, y = first(ring.train, ring, 2000)

    def crossed(labels):
        return torch.stack([x[y != label][place] for place, label in enumerate(labels)])

    (row, _), _ = generator_rows(Run(tmp_path), {"crossed": Fixed(crossed)}, ring)
    assert row["quality"]["modes"] == 0
    assert row["quality"]["on_mode"] == 0
    assert row["quality"]["sliced_wasserstein"] < 0.3


def test_data_without_known_modes_have_no_figures_of_them(tmp_path):
    data = resolve("checker-2c")
    network = build("denoiser-mlp?width=8&depth=1", data.input_space, 2)
    rows, _ = generator_rows(Run(tmp_path), {"few": Generator.of(network, FewStep(), data)}, data)
    assert set(rows[0]["quality"]) == {"sliced_wasserstein", "mmd", "spread"}


def test_roles_follow_the_order(ring, tmp_path):
    def real(labels):
        return torch.zeros(len(labels), 2)

    names = ["mine", "teacher in 2 steps", "teacher in 50 steps", "another"]
    rows, _ = generator_rows(Run(tmp_path), {name: Fixed(real) for name in names}, ring)
    told = ["product", "baseline", "teacher", "reference", "reference"]
    assert [row["role"] for row in rows] == told
    assert rows[-1]["name"] == REAL


def test_samples_that_are_not_finite_are_named(ring, tmp_path):
    broken = Fixed(lambda labels: torch.full((len(labels), 2), float("nan")))
    with pytest.raises(ModelError, match="samples of broken"):
        generator_rows(Run(tmp_path), {"broken": broken}, ring)


def test_real_images_are_what_can_be_reached(digits, tmp_path):
    def copied(labels):
        x, y = first(digits.train, digits, len(digits.train))
        return torch.stack([x[y == label][0] for label in labels])

    def noise(labels):
        return torch.rand(len(labels), 1, 8, 8, generator=torch.Generator().manual_seed(0))

    entries = {"copied": Fixed(copied), "noise": Fixed(noise)}
    (copies, noises, real), _ = generator_rows(Run(tmp_path), entries, digits)
    best, worst = real["quality"], noises["quality"]
    for name in ("frechet", "kid"):
        assert best[name] < worst[name]
    for name in ("precision", "recall", "density", "coverage", "label_accuracy"):
        assert best[name] > worst[name]
    # Ten training images over and over: nothing new, and no two of a class differ.
    assert copies["quality"]["nearest"] == pytest.approx(0, abs=1e-5)
    assert copies["quality"]["diversity"] == pytest.approx(0, abs=1e-5)
    assert best["nearest"] > 0.5


def test_a_generator_without_conditions_is_not_asked_for_labels(digits):
    judge = Judge(build("cnn?width=4", digits.input_space, 10).eval(), digits)
    x, labels = torch.rand(30, 1, 8, 8), torch.arange(30) % 10
    bench = Pictures(digits, x, labels, judge)
    assert "label_accuracy" in bench.figures(x, conditional=True)
    assert "label_accuracy" not in bench.figures(x, conditional=False)


def test_modes_of_all_classes_count_where_samples_follow_none(ring):
    x, y = first(ring.test, ring, 600)
    bench = Points(ring, x, y)
    assert bench.figures(x, conditional=False)["modes"] == 8
    assert bench.figures(x, conditional=True)["modes"] == 8


def test_the_judge_is_trained_once_and_the_same_for_every_seed(digits, tmp_path, monkeypatch):
    first = judge_of(Run(tmp_path / "a", seed=1), digits)
    other = judge_of(Run(tmp_path / "b", seed=2), digits)
    x = torch.rand(4, 1, 8, 8)
    assert torch.equal(first.features(x), other.features(x))

    def untrained(*given, **options):
        raise AssertionError("trained again")

    monkeypatch.setattr("limbeck.evaluate.judges.fit", untrained)
    again = judge_of(Run(tmp_path / "a", seed=1), digits)
    assert torch.equal(again.features(x), first.features(x))


def test_labels_are_those_of_the_test_split(digits):
    labels = asked_labels(digits)
    assert len(labels) == 120
    assert set(labels.tolist()) == set(range(10))
