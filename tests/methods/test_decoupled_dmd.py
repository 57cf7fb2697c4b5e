"""Decoupled DMD: directions at their levels, special cases, what it refuses."""

from __future__ import annotations

import json

import pytest
import torch

from limbeck import cards
from limbeck.data import from_arrays
from limbeck.data.names import resolve
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError, NoEffectWarning, SettingsError
from limbeck.fingerprint import fingerprint
from limbeck.keyed import torch_seeded
from limbeck.loops.draws import Draws
from limbeck.loops.match import Matching, Sample, coupled
from limbeck.methods.decoupled_dmd.decoupled_dmd import DecoupledDMD
from limbeck.networks.names import build
from limbeck.run import Run

TINY = cards.preset("decoupled-dmd", "tiny")["settings"]
TEACHER, DATA = "denoiser-mlp?width=16&depth=1", "ring8-2c"
CPU = torch.device("cpu")


def method(**changes):
    return DecoupledDMD(**{**TINY, **changes})


def denoiser(seed):
    with torch_seeded(seed):
        return build(TEACHER, InputSpace((2,)), 2)


def directed(made, teacher, fake, start=1.0, count=32):
    """Terms of one step, the sample that they are about, and its gradient."""
    torch.manual_seed(4)
    x, condition = torch.randn(count, 2, requires_grad=True), torch.arange(count) % 2
    sample = Sample(x, condition, start, clean=x)
    torch.manual_seed(5)
    terms = made._directed(teacher, {"fake": fake}, sample, Draws(count, CPU))
    sum(terms.values()).backward()
    return terms, sample, x.grad


class Asked(torch.nn.Module):
    """A teacher that notes what it is asked."""

    def __init__(self, inside):
        super().__init__()
        self.inside, self.levels, self.ids = inside, [], []
        self.null, self.conditional = inside.null, True
        self.alpha_sigma, self.schedule = inside.alpha_sigma, inside.schedule

    def predict(self, x, t, condition):
        self.levels.append(t)
        self.ids.append(condition)
        return self.inside.predict(x, t, condition)


def test_shared_levels_are_plain_distribution_matching():
    teacher, fake = denoiser(1), denoiser(2)
    terms, sample, found = directed(method(schedule="shared", guidance=3.0), teacher, fake)
    assert {*terms} == {"match", "augment"}
    x = sample.x.detach().clone().requires_grad_()
    torch.manual_seed(5)
    plain = coupled(teacher, Matching(), 3.0)
    same = Sample(x, sample.condition, 1.0, clean=x)
    plain({"fake": fake}, same, Draws(32, CPU), None)["match"].backward()
    torch.testing.assert_close(found, x.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("schedule", "below"),
    [("full", (False, False)), ("constrained", (True, True)), ("hybrid", (False, True))],
)
def test_levels_lie_where_the_schedule_says(schedule, below):
    teacher = Asked(denoiser(1))
    directed(method(schedule=schedule), teacher, denoiser(2), start=0.25, count=256)
    first, second, third = teacher.levels[0].chunk(3)
    assert torch.equal(second, third)
    assert not torch.equal(first, second)
    for levels, cleaner in zip((first, second), below, strict=True):
        assert float(levels.min()) >= 0.02
        assert bool((levels <= 0.25).all()) == cleaner
    null = teacher.ids[0].chunk(3)
    assert [bool((one == 2).all()) for one in null] == [False, False, True]


def test_a_band_takes_the_place_of_the_schedule_and_one_level_needs_two_answers():
    teacher = Asked(denoiser(1))
    directed(method(schedule="shared", band=(0.6, 0.7)), teacher, denoiser(2))
    assert bool((teacher.levels[0].chunk(3)[1] >= 0.6).all())
    teacher = Asked(denoiser(1))
    directed(method(schedule="shared"), teacher, denoiser(2))
    assert len(teacher.levels[0]) == 2 * 32


@pytest.mark.parametrize("changes", [{"guidance": 1.0}, {"augment": False}])
def test_without_guidance_nothing_is_asked_without_its_condition(changes):
    teacher = Asked(denoiser(1))
    terms, _, _ = directed(method(**changes), teacher, denoiser(2))
    assert {*terms} == {"match"}
    assert bool((teacher.ids[0] < 2).all())


@pytest.mark.parametrize("normaliser", ["shared", "per_term", "none"])
def test_sizes_and_cosine_of_the_directions_are_noted(normaliser):
    _, sample, found = directed(method(normaliser=normaliser), denoiser(1), denoiser(2))
    assert {*sample.notes} == {"match_size", "augment_size", "cosine"}
    assert bool(found.isfinite().all())


def test_normalisers_divide_by_what_they_say():
    gradients = {
        name: directed(method(normaliser=name), denoiser(1), denoiser(2))[2]
        for name in ("shared", "per_term", "none")
    }
    assert not torch.allclose(gradients["shared"], gradients["per_term"])
    ratio = gradients["none"] / gradients["shared"]
    # One number a sample: how far it is from the guided prediction.
    torch.testing.assert_close(ratio[:, 0], ratio[:, 1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"regulariser": "mean_var"},
        {"regulariser": "gan"},
        {"adversary": {"weight": 3e-3, "on": "fake"}},
        {"regulariser": "gan", "adversary": {"on": "fake"}},
        {"regression": {"weight": 0.25, "pairs": 40, "steps": 3}},
    ],
    ids=["mean_var", "gan", "critic on the fake", "gan on the fake", "regression"],
)
def test_other_terms_train_and_are_logged(tmp_path, changes):
    made = method(**changes).distill(tmp_path, teacher=TEACHER, data=DATA)
    again = method(**changes).distill(tmp_path / "again", teacher=TEACHER, data=DATA)
    assert fingerprint(made.tensors()) == fingerprint(again.tensors())
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    named = {name for line in lines for name in json.loads(line)}
    wanted = {
        "mean_var": {"mean_var"},
        "gan": {"adversary", "critic"},
    }.get(changes.get("regulariser", ""))
    if wanted is None:
        wanted = {"regression"} if "regression" in changes else {"adversary", "critic", "fake"}
    assert wanted <= named
    norms = {name for name in named if name.startswith("gradient_norm.")}
    assert f"gradient_norm.{min(wanted - {'critic', 'fake'})}" in norms


def test_guidance_without_conditions_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ArgumentError, match="guidance is 2"):
        method().distill(tmp_path / "run", teacher=TEACHER, data="swiss")
    assert not (tmp_path / "run").exists()
    made = method(guidance=1.0).distill(tmp_path / "plain", teacher=TEACHER, data="swiss")
    assert not made.conditional


@pytest.mark.parametrize(
    ("adversary", "said"),
    [
        ({"features": "network.blocks.7"}, "no module 'network.blocks.7'"),
        ({"features": "network.blocks"}, "is not called"),
        ({"on": "fake", "features": "nowhere"}, "no module 'nowhere'"),
    ],
)
def test_features_that_are_not_there_are_told_before_anything_is_trained(tmp_path, adversary, said):
    made = method(adversary={"weight": 3e-3, **adversary})
    with pytest.raises(ModelError, match=said):
        made.distill(tmp_path, teacher=TEACHER, data=DATA)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_features_of_the_fake_are_those_of_the_network_it_starts_from(tmp_path):
    made = method(adversary={"weight": 3e-3, "on": "fake"})
    closed = {"teacher": f"mixture?of={DATA}", "data": DATA}
    made.distill(tmp_path / "fake", student=TEACHER, **closed)
    with pytest.raises(ModelError, match="no module that is called its middle"):
        method(adversary={"weight": 3e-3}).distill(tmp_path / "teacher", student=TEACHER, **closed)
    assert not (tmp_path / "teacher" / "metrics.jsonl").exists()


@pytest.mark.parametrize(("changes", "learned"), [({}, 2.0), ({"augment": False}, 1.0)])
def test_the_product_knows_the_guidance_that_it_learned(tmp_path, changes, learned):
    made = method(**changes).distill(tmp_path, teacher=denoiser(1), data=DATA)
    assert made.learned == learned


def test_settings_that_leave_nothing_to_learn_or_do_nothing_are_told():
    with pytest.raises(SettingsError, match="nothing to learn from"):
        method(regulariser="none", guidance=1.0)
    with pytest.raises(SettingsError, match="two levels that rise"):
        method(band=(0.9, 0.1))
    with pytest.warns(NoEffectWarning, match="mean_var"):
        method(target_mean=0.5)


def test_guidance_needs_a_teacher_that_has_conditions_hidden(tmp_path):
    with pytest.raises(ArgumentError, match="null_share"):
        method(teaching={"steps": 30, "null_share": 0}).distill(
            tmp_path, teacher=TEACHER, data=DATA
        )


def test_a_prediction_of_noise_cannot_begin_at_pure_noise(tmp_path):
    with pytest.raises(ModelError, match="predicts eps, and at level 1"):
        method().distill(tmp_path, teacher=f"{TEACHER}&schedule=vp&prediction=eps", data=DATA)


@pytest.mark.parametrize("schedule", ["vp", "edm", "flow&shift=5"])
def test_a_fake_of_another_schedule_is_asked_at_its_own_level(schedule):
    """Both are exact for the same data, so nothing is left to learn."""
    space = InputSpace((2,))
    teacher = build(f"mixture?of={DATA}&schedule={schedule}", space, 2)
    fake = build(f"mixture?of={DATA}", space, 2)
    _, sample, _ = directed(method(guidance=1.0), teacher, fake)
    assert float(sample.notes["match_size"]) < 1e-3


def test_a_closed_form_needs_a_student_to_start_from(tmp_path):
    with pytest.raises(ArgumentError, match="--student"):
        method().distill(tmp_path / "a", teacher=f"mixture?of={DATA}", data=DATA)
    made = method().distill(
        tmp_path / "b", teacher=f"mixture?of={DATA}", student=TEACHER, data=DATA
    )
    assert made.network.prediction == "flow"


def test_a_student_for_other_samples_is_refused(tmp_path):
    with pytest.raises(ModelError, match="the student denoises samples of shape"):
        method().distill(
            tmp_path,
            teacher=f"mixture?of={DATA}",
            student=build(TEACHER, InputSpace((3,)), 2),
            data=DATA,
        )


def test_a_teacher_that_overflows_is_named(tmp_path):
    teacher = denoiser(1)
    with torch.no_grad():
        for one in teacher.parameters():
            one.mul_(1e30)
    with pytest.raises(ModelError, match="the teacher says NaN"):
        method().distill(tmp_path, teacher=teacher, data=DATA)


def test_conditions_come_as_often_as_classes(tmp_path):
    data = resolve(DATA)
    x = data.train.take(torch.arange(400).numpy())["x"].numpy()
    y = torch.zeros(400, dtype=torch.long)
    y[:40] = 1
    seen = []
    uneven = from_arrays(x, y.numpy())
    made = method(guidance=1.0)
    original = made._directed

    def noted(teacher, models, sample, draws):
        seen.append(sample.condition)
        return original(teacher, models, sample, draws)

    object.__setattr__(made, "_directed", noted)
    made.distill(Run(tmp_path), teacher=TEACHER, data=uneven)
    share = float(torch.cat(seen).float().mean())
    assert 0.03 < share < 0.2
