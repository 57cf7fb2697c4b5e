"""What is DisWOT's own; the contract is in tests/contract."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import limbeck
from limbeck import cards
from limbeck.data import InputSpace
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, LimbeckError, ModelError, SettingsError
from limbeck.features import find_last_layer
from limbeck.functional import semantic_distance
from limbeck.loops.search import Rejected
from limbeck.method import complete
from limbeck.methods.diswot import claims
from limbeck.methods.diswot.diswot import DisWOT
from limbeck.methods.diswot.similarity import Similarity, looked_at, one_batch
from limbeck.networks.names import build
from limbeck.networks.spaces import Space, space_of
from limbeck.objectives import diswot_terms
from limbeck.run import Run

SPACE = InputSpace(size=(8, 8), channels=1)
RESNETS = "resnet?blocks={1,2,3}x{1,2}&width=4"
INPUTS = {"data": "digits", "teacher": "resnet?blocks=3x3&width=4", "space": RESNETS}


def batch(seed=0, classes=4):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(12, 1, 8, 8, generator=generator)
    return x, torch.randint(classes, (12,), generator=generator)


def similarity(teacher="resnet?blocks=2x2&width=4", **options):
    x, y = batch()
    network = build(teacher, SPACE, 4) if isinstance(teacher, str) else teacher
    return Similarity(network, x, y, 4, SPACE, **options)


def test_scores_are_those_of_the_definition():
    """Steps 1 to 5 of the paper written out, matrices and backward passes included."""
    scorer = similarity(times=1)
    x, y, networks = scorer.x, scorer.y, []
    # The networks as the scorer drew them.
    candidate = build("resnet?blocks=1x2&width=4", SPACE, 4)
    found = scorer.scores(candidate, "one")
    teacher = build("resnet?blocks=2x2&width=4", SPACE, 4)
    again = Similarity(teacher, x, y, 4, SPACE, times=1)
    assert again.scores(candidate, "one") == found
    for network in (candidate, teacher):
        network.train().requires_grad_(True)
        maps = network.features[:-1](x)
        loss = F.cross_entropy(network.head(maps.mean((2, 3))), y)
        grad = torch.autograd.grad(loss, network.head.weight)[0]
        networks.append((maps.flatten(1).detach(), grad))
    semantic = relation = 0.0
    (own, own_grad), (told, told_grad) = networks
    for one, other in zip(own_grad, told_grad, strict=True):
        rows = [F.normalize(torch.outer(g, g), dim=1) for g in (one, other)]
        semantic += (rows[0] - rows[1]).square().sum() / own_grad.numel()
    rows = [F.normalize(value @ value.T, dim=1) for value in (own, told)]
    relation = (rows[0] - rows[1]).square().sum() / len(x) ** 2
    assert found["semantic"] == pytest.approx(-float(semantic), rel=1e-3)
    assert found["relation"] == pytest.approx(-float(relation), rel=1e-3)


def test_an_equal_network_with_equal_weights_is_alike():
    x, y = batch()
    network = build("resnet?blocks=2x2&width=4", SPACE, 4)
    look = looked_at(network, find_last_layer(network, x, 4), x, y, 0)
    again = looked_at(network, find_last_layer(network, x, 4), x, y, 0)
    assert semantic_distance(again.gradient, look.gradient).item() == pytest.approx(0, abs=1e-5)
    assert torch.equal(again.before_pooling, look.before_pooling)
    assert look.before_pooling.shape == (12, 8, 4, 4)


def test_numbers_that_are_none_put_a_candidate_last():
    class Exploding(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat, self.head = nn.Flatten(), nn.Linear(64, 4)

        def forward(self, x):
            return self.head(self.flat(x) * (torch.inf if self.training else 1.0))

    scorer = similarity("mlp?hidden=64")
    assert scorer.scores(Exploding(), "inf") == {"semantic": -torch.inf, "relation": -torch.inf}


def test_scores_do_not_depend_on_what_was_scored_before():
    names = ["resnet?blocks=1x1&width=4", "resnet?blocks=3x1&width=4"]
    one, other = similarity(), similarity()
    first = [one.scores(build(name, SPACE, 4), name) for name in names]
    assert [other.scores(build(name, SPACE, 4), name) for name in names[::-1]] == first[::-1]


@pytest.mark.parametrize("begin", ["normal", "kaiming", "built"])
def test_every_beginning_leaves_global_draws_alone(begin):
    network = build("resnet?blocks=1x1&width=4", SPACE, 4)
    state = torch.get_rng_state()
    found = similarity_of(begin, network)
    assert all(value < 0 for value in found.values())
    with torch.random.fork_rng():
        torch.manual_seed(99)
        assert similarity_of(begin, network) == found
    assert torch.equal(state, torch.get_rng_state())


def similarity_of(begin, network):
    x, y = batch()
    with torch.random.fork_rng():
        teacher = build("resnet?blocks=2x2&width=4", SPACE, 4)
    return Similarity(teacher, x, y, 4, SPACE, begin=begin).scores(network, "one")


def test_unequal_widths_are_refused_or_compared_by_class():
    narrow = build("resnet?blocks=1x1&width=2", SPACE, 4)
    with pytest.raises(Rejected, match=r"reads 4 numbers .* 8.* set compare to classes") as refused:
        similarity().scores(narrow, "narrow")
    assert refused.value.reason == "width"
    assert similarity(compare="classes").scores(narrow, "narrow")["semantic"] < 0


@pytest.mark.parametrize(
    "name",
    [
        "mlp?hidden=16", "cnn?width=4", "convnet-d2?width=4", "lenet", "resnet18?norm=batch",
        "mobilenet-v2?width_multiplier=0.25", "densenet121?width_multiplier=0.25",
        "cells?cells=1&width=4", "torchvision:resnet18", "torchvision:squeezenet1_1",
        "timm:resnet10t", "timm:vit_tiny_patch16_224?img_size=32&patch_size=8",
        "timm:mobilenetv3_small_050", "timm:convnext_atto",
    ],
)  # fmt: skip
def test_where_networks_end(name):
    space = InputSpace(size=(32, 32), channels=3)
    x = torch.randn(2, 3, 32, 32)
    network = build(name, space, 7)
    if "squeezenet" in name:
        # It ends in a convolution.
        with pytest.raises(ModelError, match="does not end in a linear layer that gives 7"):
            find_last_layer(network, x, 7)
        return
    last = find_last_layer(network, x, 7)
    assert network.get_submodule(last.head).out_features == 7
    # The small network takes means in its forward, where no module says them.
    assert bool(last.reads) == (name != "cnn?width=4")
    assert ("mlp" in name) == (last.before_pooling == "")


def test_a_layer_behind_the_last_one_is_told():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh())
    with pytest.raises(ModelError, match="changes what its last linear layer 1 gives"):
        find_last_layer(network, torch.zeros(2, 1, 8, 8), 4)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    method = DisWOT(batch_size=16, others=["nwot"])
    run = Run(tmp_path_factory.mktemp("diswot") / "run")
    product, baselines, ready = complete(method, run, INPUTS)
    rows, _ = product.compared(run, "diswot", baselines, ready)
    return product, baselines, rows


def test_the_table_stands_beside_size(made):
    product, baselines, rows = made
    assert list(baselines) == ["most parameters", "most depth", "any"]
    assert [row["role"] for row in rows] == ["product", "baseline", "reference", "reference"]
    assert product.entries[0].ranks["score"] == 1
    assert baselines["most parameters"].best.name == "resnet?blocks=3x2&width=4"
    for row in rows:
        assert {"parameters", "macs", "depth", "latency_ms"} <= set(row["cost"])
        assert {"score", "semantic", "relation", "nwot"} <= set(row["quality"])


def test_evolution_is_compared_with_as_many_draws(tmp_path):
    method = DisWOT(batch_size=8, search={"strategy": "evolve", "evaluations": 5, "population": 2})
    product, baselines, _ = complete(method, Run(tmp_path), INPUTS)
    assert product.facts["scored"] == baselines["random search"].facts["scored"] == 5


def test_a_space_of_a_users_own(tmp_path):
    def student(width, depth):
        layers = [nn.Flatten(), nn.Linear(64, width), nn.ReLU()]
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, 10))

    space = Space({"width": (8, 16), "depth": (1, 2)}, student, "perceptrons")
    inputs = {"data": "digits", "teacher": "mlp?hidden=32x16", "space": space}
    product = DisWOT(batch_size=16).distill(tmp_path / "run", **inputs)
    assert len(product.entries) == 4
    assert product.best.name is None
    assert product.best.cost["parameters"] > 0
    # The same folder again is the same run; another space of the name is not.
    assert DisWOT(batch_size=16).distill(tmp_path / "run", **inputs).entries == product.entries
    other = Space({"width": (8, 12), "depth": (1, 2)}, student, "perceptrons")
    with pytest.raises(LimbeckError, match="another space"):
        DisWOT(batch_size=16).distill(tmp_path / "run", **{**inputs, "space": other})


def test_invalid_networks_are_refused_and_counted(tmp_path):
    space = ["mlp?hidden=16", "cnn?width=0", "torchvision:squeezenet1_1", "mlp?hidden=8"]
    inputs = {"data": "digits", "teacher": "mlp?hidden=16", "space": space}
    product = DisWOT(batch_size=16).distill(tmp_path, **inputs)
    assert [one.name for one in product.entries] == ["mlp?hidden=16"]
    refused = product.facts["rejected"]
    assert refused.pop("width") == 1
    assert refused.pop("no network") == 1
    assert sum(refused.values()) == 1


class Own(nn.Module):
    """A network whose forward pass does what it is told."""

    def __init__(self, act):
        super().__init__()
        self.flat, self.scale = nn.Flatten(), nn.Parameter(torch.ones(64))
        self.head, self.act = nn.Linear(64, 10), act

    def forward(self, x):
        return self.act(self, self.head(self.scale * self.flat(x)))


def _asserts(network, said):
    assert network is None


def _wants_eval(network, said):
    if network.training:
        raise KeyError("statistics")
    return said


@pytest.mark.parametrize(
    ("act", "begin", "reason"),
    [
        (_asserts, "normal", "inputs"),
        (_wants_eval, "normal", "inputs"),
        (lambda network, said: {"one": said, "other": said}, "normal", "outputs"),
        (lambda network, said: said, "built", "built"),
    ],
)
def test_networks_of_a_user_that_fail_are_refused_and_counted(act, begin, reason, tmp_path):
    def student(bad):
        return Own(act) if bad else "mlp?hidden=64"

    inputs = {
        "data": "digits",
        "teacher": "mlp?hidden=64",
        "space": Space({"bad": (0, 1)}, student),
    }
    product = DisWOT(batch_size=8, initialisation=begin).distill(tmp_path, **inputs)
    assert [one.choices for one in product.entries] == [{"bad": 0}]
    assert product.facts["rejected"] == {reason: 1}


def test_networks_that_overflow_are_no_shortlist(tmp_path):
    deep = "mlp?hidden=" + "x".join(["64"] * 60)
    inputs = {"data": "digits", "teacher": "mlp?hidden=64", "space": [deep, deep + "x64"]}
    with pytest.raises(ModelError, match="all 2 candidates give NaN .* set initialisation"):
        DisWOT(batch_size=8).distill(tmp_path / "candidates", **inputs)
    assert DisWOT(batch_size=8, initialisation="built").distill(tmp_path / "built", **inputs)
    with pytest.raises(ModelError, match="the teacher gives NaN .* set initialisation"):
        DisWOT(batch_size=8).distill(tmp_path / "teacher", **{**inputs, "teacher": deep})


def test_weights_of_norms_of_a_teacher_do_not_matter():
    def found(weight):
        norm = nn.InstanceNorm2d(4, affine=True)
        nn.init.constant_(norm.weight, weight)
        teacher = nn.Sequential(
            nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(144, 4)
        )
        return similarity(teacher).scores(build("mlp?hidden=144", SPACE, 4), "one")

    assert found(1.0) == found(-3.0)


def test_limits_leave_out_what_costs_too_much(tmp_path):
    whole = DisWOT(batch_size=16).distill(tmp_path / "whole", **INPUTS)
    most = sorted(one.cost["parameters"] for one in whole.entries)[2]
    small = DisWOT(batch_size=16, limits={"parameters": int(most)})
    product = small.distill(tmp_path / "small", **INPUTS)
    assert len(product.entries) == 3
    assert product.facts["rejected"] == {"parameters": 3}
    slow = DisWOT(batch_size=16, limits={"latency_ms": 1e-6})
    with pytest.raises(ArgumentError, match="6 for latency_ms"):
        slow.distill(tmp_path / "slow", **INPUTS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"teacher": nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten())},
            "not end in a linear layer",
        ),
        ({"teacher": "resnet?blocks=1x1&width=8"}, "could be scored: 6 for width .* classes"),
        ({"teacher": ["mlp", "mlp"]}, "there are 2 teachers"),
        ({"teacher": 3}, "the teacher is a int"),
        ({"space": "resnet-s2"}, "no space 'resnet-s2'"),
        ({"space": "nas-bench-201"}, "set strategy to random or evolve"),
        ({"space": 5}, "space is a int"),
        ({"data": "friedman"}, "is for classification"),
    ],
)
def test_bad_inputs_are_refused(changes, said, tmp_path):
    with pytest.raises(LimbeckError, match=said):
        DisWOT(batch_size=8).distill(tmp_path / "run", **{**INPUTS, **changes})
    assert not (tmp_path / "run").exists()


def test_bad_settings_are_refused():
    with pytest.raises(SettingsError, match="batch_size is 1"):
        DisWOT(batch_size=1)
    with pytest.raises(SettingsError, match="did you mean zen"):
        DisWOT(others=["zenn"])


def test_noise_needs_no_images_of_the_data():
    data = resolve("digits")
    x, y = one_batch(data, 16, "noise", 0)
    assert x.shape == (16, 1, 8, 8)
    assert 0 <= int(y.min()) <= int(y.max()) < 10
    assert torch.equal(x, one_batch(data, 16, "noise", 0)[0])
    assert not torch.equal(x, one_batch(data, 16, "noise", 1)[0])


def test_the_best_entry_is_a_student_of_any_method(made, tmp_path):
    made[0].save(tmp_path / "product")
    student = limbeck.KD(steps=5, batch_size=16).distill(
        tmp_path / "kd", teacher="mlp?hidden=8", student=f"shortlist:{tmp_path}", data="digits"
    )
    assert student.spec == made[0].best.name
    (tmp_path / "product" / "shortlist.json").unlink()
    # What was distilled needs the shortlist no more.
    assert limbeck.load(tmp_path / "kd").spec == made[0].best.name


def test_the_distances_train_a_student(tmp_path):
    data = resolve("digits")
    student, teacher = (build(f"resnet?blocks={n}&width=4", SPACE, 10) for n in ("1x1", "2x1"))
    terms = diswot_terms(student, teacher, torch.zeros(2, 1, 8, 8), 10)
    run = Run(tmp_path)
    method = limbeck.KD(steps=12, batch_size=32, teaching={"steps": 0})
    method.distill(
        run,
        teacher=limbeck.teacher(teacher, features=sorted(terms.teacher_features)),
        student=student,
        data=data,
        objective=method.objective("classification") + terms,
    )
    rows = (tmp_path / "metrics.jsonl").read_text()
    assert '"semantic"' in rows
    assert '"relation"' in rows


def test_published_figures_are_those_of_the_space():
    known, space = claims.accuracies(), space_of(claims.SPACE)
    assert {"x".join(space.decode(code).values()) for code in space.codes()} == set(known)
    assert max(known, key=known.get) == "5x5x7"


@pytest.mark.parametrize("name", sorted(cards.presets("diswot")))
def test_presets_name_teachers_that_end_as_wide_as_students(name):
    preset = cards.preset("diswot", name)
    inputs, large = preset["inputs"], "imagenet" in name
    space = InputSpace(size=(64, 64) if large else (32, 32), channels=3)
    students = space_of(inputs["space"])
    DisWOT(**preset.get("settings", {})).search.check(students)
    # The last of each choice: the first cell of all has no edge.
    network = students.build(tuple(len(one) - 1 for one in students.choices.values()), space, 10)
    (teacher,) = inputs["teacher"]
    x = torch.zeros(2, *space.shape)
    widths = [
        one.get_submodule(find_last_layer(one, x, 10).head).in_features
        for one in (network, build(teacher, space, 10))
    ]
    assert widths[0] == widths[1]
