"""Teachers are frozen, see inputs as they expect them, and look alike alone and in ensembles."""

import pytest
import torch
from torch import nn

from limbeck import keyed
from limbeck.averaging import MeanOf
from limbeck.data import Batch, InputSpace
from limbeck.errors import ArgumentError, DataError, ModelError
from limbeck.functional import mean_logits, mean_probabilities
from limbeck.networks import CNN
from limbeck.outputs import Outputs
from limbeck.teachers import column, ensemble, random_one, teacher


class Counting(nn.Module):
    """A linear model that counts its calls."""

    def __init__(self, outputs=3, seed=0):
        super().__init__()
        with keyed.torch_seeded(seed):
            self.linear = nn.Linear(4, outputs)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.linear(x)


def batch(count=5, key=0):
    return Batch(
        {"id": torch.arange(count), "x": torch.rand(count, 4, generator=generator())}, key=key
    )


def generator():
    return torch.Generator().manual_seed(0)


def members(count=3):
    return [teacher(Counting(seed=seed)) for seed in range(count)]


def calls(those):
    return [one.modules[0].calls for one in those]


# One


def test_a_teacher_is_frozen():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    big = teacher(model)
    x = torch.rand(5, 4, requires_grad=True)
    first, second = big(Batch({"x": x})), big(Batch({"x": x}))
    assert not any(module.training for module in model.modules())
    assert not any(one.requires_grad for one in model.parameters())
    assert not first.logits.requires_grad
    assert torch.equal(first.logits, second.logits)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_teacher_of_another_space_sees_what_it_expects():
    """Inputs of 8x8 grey pixels reach a model of 12x12 colours as if prepared for it."""
    ours = InputSpace(size=(8, 8), channels=1, mean=(0.3,), std=(0.2,))
    theirs = InputSpace((12, 12), 3, mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), range=(-1.0, 1.0))
    with keyed.torch_seeded(0):
        model = CNN(3, 4, 2, 5)
    pixels = torch.rand(6, 1, 8, 8, generator=generator())
    prepared = torch.nn.functional.interpolate(
        pixels.expand(-1, 3, -1, -1), (12, 12), mode="bilinear", antialias=True
    )
    prepared = prepared * 2 - 1
    for channel in range(3):
        prepared[:, channel] -= theirs.mean[channel]
        prepared[:, channel] /= theirs.std[channel]
    big = teacher(model, input_space=theirs)
    said = big(Batch({"x": ours.normalise(pixels)}, space=ours))
    torch.testing.assert_close(said.logits, model(prepared), rtol=1e-4, atol=1e-5)
    even = ensemble(big)(Batch({"x": ours.normalise(pixels)}, space=ours))
    assert torch.equal(even.logits, said.logits)


def test_features_are_kept_as_asked():
    big = teacher(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), features=["?"])
    said = big(batch())
    assert list(said.features) == ["0", "1", "2"]
    assert torch.equal(said.read("features.2"), said.logits)
    with pytest.raises(ModelError, match="no module '7'"):
        teacher(nn.Sequential(nn.Linear(4, 6)), features=["7"])


def test_fingerprints_tell_teachers_apart():
    space = InputSpace(size=(4,))
    words = [
        teacher(Counting()).fingerprint,
        teacher(Counting()).fingerprint,
        teacher(Counting(seed=1)).fingerprint,
        teacher(Counting(), features=["linear"]).fingerprint,
        teacher(Counting(), input_space=space).fingerprint,
        column("said").fingerprint,
        column("said", kind="scores").fingerprint,
    ]
    assert words[0] == words[1]
    assert len(set(words)) == 6


def test_what_is_no_model_is_refused():
    with pytest.raises(ArgumentError, match="model is a str, expected a torch module"):
        teacher("timm:resnet18")


def test_a_column_of_the_batch_is_a_teacher():
    said = torch.rand(5, 3)
    stored = column("said")
    assert (stored.wants, stored.modules) == (("said",), ())
    assert stored(batch().with_columns(said=said)).logits is said
    assert column("said", kind="scores")(batch().with_columns(said=said)).scores is said
    with pytest.raises(DataError, match="no column 'said'"):
        stored(batch())
    with pytest.raises(ArgumentError, match="kind is 'logit', expected one of logits"):
        column("said", kind="logit")


# Several


@pytest.mark.parametrize("combine", [mean_probabilities, mean_logits])
@pytest.mark.parametrize("weights", [None, [0.3]])
def test_an_ensemble_of_one_is_that_one_to_the_bit(combine, weights):
    big = teacher(Counting(), features=["linear"])
    alone, pooled = big(batch()), ensemble(big, combine=combine, weights=weights)(batch())
    assert torch.equal(alone.logits, pooled.logits)
    assert torch.equal(alone.read("features.linear"), pooled.read("features.linear"))


def test_probabilities_are_averaged():
    those = members()
    said = torch.stack([one(batch()).logits for one in those])
    pooled = ensemble(*those)(batch())
    torch.testing.assert_close(pooled.logits.softmax(-1), said.softmax(-1).mean(0))
    assert torch.equal(pooled.extra["member_logits"], said)
    assert pooled.extra["members"].tolist() == [0, 1, 2]


def test_logits_are_averaged():
    those = members()
    said = torch.stack([one(batch()).logits for one in those])
    torch.testing.assert_close(ensemble(*those, combine=mean_logits)(batch()).logits, said.mean(0))


def test_weights_are_shares():
    those = members()
    said = torch.stack([one(batch()).logits for one in those])
    shares = torch.tensor([0.2, 0.0, 0.8])[:, None, None]
    for weights in ([1, 0, 4], torch.tensor([0.5, 0.0, 2.0])):
        pooled = ensemble(*those, weights=weights)(batch())
        torch.testing.assert_close(pooled.logits.softmax(-1), (said.softmax(-1) * shares).sum(0))


def test_ensembles_nest_and_keep_members_features():
    first, second, third = (teacher(Counting(seed=n), features=["linear"]) for n in range(3))
    outer = ensemble(ensemble(first, second), third, combine=mean_logits)
    said = outer(batch())
    inner = mean_probabilities(torch.stack([first(batch()).logits, second(batch()).logits]))
    torch.testing.assert_close(said.logits, (inner + third(batch()).logits) / 2)
    assert torch.equal(said.read("features.1.linear"), third(batch()).logits)
    assert torch.equal(said.read("features.0.1.linear"), second(batch()).logits)
    assert len(outer.modules) == 3


def test_ensembles_want_what_members_want():
    both = ensemble(teacher(Counting()), column("said"))
    assert both.wants == ("said", "x")


def test_fingerprints_tell_ensembles_apart():
    those = members()
    words = {
        ensemble(*those).fingerprint,
        ensemble(*those[:2]).fingerprint,
        ensemble(*those[::-1]).fingerprint,
        ensemble(*those, weights=[1, 1, 2]).fingerprint,
        ensemble(*those, combine=mean_logits).fingerprint,
        ensemble(*those, combine=lambda logits, weights: logits[0]).fingerprint,
        ensemble(*those, combine=lambda logits, weights: logits[1]).fingerprint,
        ensemble(*those, route=random_one).fingerprint,
    }
    assert len(words) == 8


# Routes


def test_random_one_replays_asks_one_and_reaches_all():
    chosen = []
    for key in [keyed.key(0, "student", step) for step in range(60)]:
        those = members()
        said = ensemble(*those, route=random_one)(batch(key=key))
        (number,) = [n for n, count in enumerate(calls(those)) if count]
        assert sum(calls(those)) == 1
        assert torch.equal(said.logits, those[number](batch()).logits)
        assert said.extra["members"].tolist() == [number]
        again = ensemble(*members(), route=random_one)(batch(key=key))
        assert torch.equal(again.logits, said.logits)
        chosen.append(number)
    assert min(chosen.count(n) for n in range(3)) > 8


def test_samples_are_routed_one_by_one():
    those = members()
    table = torch.tensor([[1.0, 0.0, 0.0, 0.5, 0.0], [0.0, 1.0, 1.0, 0.5, 1.0], [0.0] * 5])
    said = ensemble(*those, route=lambda batch, members: table)(batch())
    assert calls(those) == [1, 1, 0]
    assert said.extra["members"].tolist() == [0, 1]
    first, second = (one(batch()).logits for one in those[:2])
    first, second, said = (z.softmax(-1) for z in (first, second, said.logits))
    torch.testing.assert_close(said[0], first[0])
    torch.testing.assert_close(said[[1, 2, 4]], second[[1, 2, 4]])
    torch.testing.assert_close(said[3], (first[3] + second[3]) / 2)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (torch.zeros(3), "the weights of the route must be at least 0 with a finite sum above 0"),
        (torch.ones(2), r"weights of shape \(2,\), expected \(3,\) or \(3, 5\)"),
        (torch.ones(5, 3), r"weights of shape \(5, 3\), expected \(3,\) or \(3, 5\)"),
        (torch.tensor([1.0, -1.0, 0.0]), "at least 0"),
        (torch.tensor([[1.0, 1, 1, 1, 0]] * 3), "sum above 0 for every sample"),
    ],
)
def test_impossible_routes_are_refused(weights, words):
    with pytest.raises(ArgumentError, match=words):
        ensemble(*members(), route=lambda batch, members: weights)(batch())


# Refusals


def test_members_of_other_classes_are_refused_by_name():
    pair = ensemble(teacher(Counting(), name="small"), teacher(Counting(7), name="large"))
    with pytest.raises(ModelError, match=r"teacher\(small\) \(5, 3\), teacher\(large\) \(5, 7\)"):
        pair(batch())
    routed = ensemble(
        teacher(Counting()), *pair.members, route=lambda batch, members: torch.tensor([0.0, 1, 1])
    )
    with pytest.raises(ModelError, match=r"teacher\(small\) \(5, 3\), teacher\(large\) \(5, 7\)"):
        routed(batch())


def test_single_numbers_have_no_probabilities_to_average():
    """The softmax of one number is 1 whatever the number: the pool would forget all members."""
    numbers = [teacher(Counting(1, seed=seed)) for seed in range(2)]
    with pytest.raises(ModelError, match="combine=mean_logits"):
        ensemble(*numbers)(batch())
    pooled = ensemble(*numbers, combine=mean_logits)(batch())
    torch.testing.assert_close(
        pooled.logits, (numbers[0](batch()).logits + numbers[1](batch()).logits) / 2
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": [1.0]}, r"weights has shape \(1,\), expected \(3,\): one a teacher"),
        ({"weights": [1.0] * 3, "route": random_one}, "both weights and route are given"),
    ],
)
def test_impossible_ensembles_are_refused(options, words):
    with pytest.raises(ArgumentError, match=words):
        ensemble(*members(), **options)


def test_zero_teachers_are_refused():
    with pytest.raises(ArgumentError, match="zero teachers teaches nothing; give at least one"):
        ensemble()


@pytest.mark.parametrize("weights", [[-1.0, 1, 1], [0.0, 0, 0], [float("nan"), 1, 1]])
def test_impossible_weights_are_refused(weights):
    with pytest.raises(ArgumentError, match="at least 0"):
        ensemble(*members(), weights=weights)


class Springs(nn.Module):
    """Energies and forces of atoms laid flat."""

    def __init__(self, stiffness):
        super().__init__()
        self.stiffness = nn.Parameter(torch.tensor(stiffness))

    def forward(self, graph):
        forces = -self.stiffness * graph["positions"]
        energy = torch.zeros(2).index_add(0, graph["frame"], -(forces * graph["positions"]).sum(1))
        return {"energy": energy / 2, "forces": forces, "virial": torch.zeros(2, 3, 3)}


def test_energies_and_forces_are_averaged():
    graph = {"positions": torch.randn(5, 3), "frame": torch.tensor([0, 0, 1, 1, 1])}
    members = [teacher(Springs(1.0)), teacher(Springs(3.0))]
    both = ensemble(*members, combine=MeanOf("energy", "forces", "extra.virial"))
    said = both(graph)
    torch.testing.assert_close(said.forces, -2 * graph["positions"])
    assert said.extra["member_energy"].shape == (2, 2)
    assert said.read("extra.virial").shape == (2, 3, 3)
    alone = ensemble(members[0], combine=MeanOf("forces"))(graph)
    assert torch.equal(alone.forces, members[0](graph).forces)
    heavy = ensemble(*members, weights=[3.0, 1.0], combine=MeanOf("forces"))(graph)
    torch.testing.assert_close(heavy.forces, -1.5 * graph["positions"])
    with pytest.raises(ModelError, match="no output 'scores'"):
        ensemble(*members, combine=MeanOf("scores"))(graph)


def test_what_cannot_be_averaged_is_told():
    with pytest.raises(ArgumentError, match="names"):
        MeanOf()
    with pytest.raises(ArgumentError, match="by member"):
        MeanOf("energy").outputs([Outputs(energy=torch.ones(2))], torch.ones(1, 2))
