"""A denoiser answers in any form, asks its network once, and says what does not fit."""

import copy
import pickle

import pytest
import torch
from torch import nn

from limbeck.errors import ArgumentError, NoEffectWarning
from limbeck.functional.diffusion import add_noise, convert_prediction
from limbeck.networks import Denoiser, NoiseSchedule

FORMS = {"flow": ("x0", "eps", "v", "flow", "score"), "vp": ("x0", "eps", "v", "score")}
FORMS["edm"] = FORMS["flow"]
KINDS = [(kind, form) for kind, forms in FORMS.items() for form in forms]


class Said(nn.Module):
    """Gives what it was told to, and keeps what it was asked."""

    def __init__(self, answer=None):
        super().__init__()
        self.answer, self.asked = answer, []

    def forward(self, x, time, condition):
        self.asked.append((x, time, condition))
        return torch.zeros_like(x) if self.answer is None else self.answer(x, time, condition)


class ByClass(nn.Module):
    """A number a class, and the time and input beside it."""

    def __init__(self):
        super().__init__()
        self.values = nn.Embedding(4, 2)
        self.calls = 0

    def forward(self, x, time, condition):
        self.calls += 1
        return self.values(condition) + 0.5 * x + time[:, None].to(x.dtype)


def guidable():
    torch.manual_seed(0)
    return Denoiser(ByClass(), NoiseSchedule(), shape=(2,), conditions=3)


def noised(schedule, count=6):
    torch.manual_seed(1)
    x0, noise = torch.randn(2, count, 3, dtype=torch.float64)
    t = torch.linspace(0.1, 0.9, count, dtype=torch.float64)
    alpha, sigma = schedule.alpha_sigma(t)
    return x0, noise, t, alpha, sigma, add_noise(x0, noise, alpha, sigma)


def truth(form, schedule, x0, noise, t, alpha, sigma):
    alpha, sigma = alpha[:, None], sigma[:, None]
    if form == "flow":
        of_sample, of_noise = (one[:, None] for one in schedule.rates(t))
        return of_sample * x0 + of_noise * noise
    return {"x0": x0, "eps": noise, "v": alpha * noise - sigma * x0, "score": -noise / sigma}[form]


@pytest.mark.parametrize(("kind", "form"), KINDS)
def test_a_network_that_is_right_is_right_in_every_form(kind, form):
    schedule = NoiseSchedule(kind, shift=2.0)
    x0, noise, t, alpha, sigma, x_t = noised(schedule)
    known = {one: truth(one, schedule, x0, noise, t, alpha, sigma) for one in FORMS[kind]}
    denoiser = Denoiser(Said(lambda *_: known[form]), schedule, prediction=form, shape=(3,))
    for wanted in FORMS[kind]:
        found = denoiser.predict(x_t, t, as_=wanted)
        torch.testing.assert_close(found, known[wanted], rtol=1e-6, atol=1e-8)
    assert torch.equal(denoiser(x_t, t), known[form])
    assert torch.equal(denoiser.predict(x_t, t), denoiser(x_t, t, as_="x0"))


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("units", ["unit", "steps"])
def test_the_network_is_given_time_as_the_schedule_says(kind, units):
    schedule = NoiseSchedule(kind, shift=3.0, units=units)
    network = Said()
    denoiser = Denoiser(network, schedule, prediction="eps", shape=(3,))
    t = torch.tensor([0.25, 1.0])
    for dtype, wide in ((torch.float32, torch.float32), (torch.bfloat16, torch.float32)):
        denoiser(torch.zeros(2, 3, dtype=dtype), t)
        _, time, condition = network.asked[-1]
        assert (time.dtype, condition) == (wide, None)
        torch.testing.assert_close(time, schedule.time(t).float())
    denoiser(torch.zeros(2, 3), 0.25)
    assert torch.equal(network.asked[-1][1], schedule.time(torch.tensor([0.25] * 2)).float())


def test_guidance_of_one_asks_once_under_the_condition_alone():
    network = Said()
    denoiser = Denoiser(network, NoiseSchedule(), shape=(2,), conditions=3)
    ids = torch.tensor([0, 3, 2, 1])
    denoiser(torch.zeros(4, 2), 0.5, ids)
    denoiser.predict(torch.zeros(4, 2), 0.5, ids, guidance=1.0)
    assert [len(x) for x, _, _ in network.asked] == [4, 4]
    assert all(torch.equal(condition, ids) for _, _, condition in network.asked)


@pytest.mark.parametrize("guidance", [0.0, 0.5, 3.0])
def test_guidance_in_one_call_is_that_of_two(guidance):
    denoiser = guidable()
    x, t, ids = torch.randn(5, 2), torch.rand(5), torch.tensor([0, 1, 2, 3, 0])
    known, unknown = denoiser(x, t, ids), denoiser(x, t)
    denoiser.network.calls = 0
    found = denoiser(x, t, ids, guidance=guidance)
    assert denoiser.network.calls == 1
    torch.testing.assert_close(found, unknown + guidance * (known - unknown))
    # What has no class is not guided anywhere.
    torch.testing.assert_close(found[3], unknown[3])
    in_other_form = denoiser.predict(x, t, ids, guidance=guidance)
    alpha, sigma = denoiser.alpha_sigma(t)
    torch.testing.assert_close(
        in_other_form, convert_prediction(found, x, alpha, sigma, "flow", "x0")
    )


def test_no_condition_is_the_null_condition():
    denoiser = guidable()
    x, t = torch.randn(5, 2), torch.rand(5)
    assert (denoiser.null, denoiser.conditional) == (3, True)
    assert torch.equal(denoiser(x, t), denoiser(x, t, torch.full((5,), 3)))
    with pytest.warns(NoEffectWarning, match="no effect on the null condition"):
        assert torch.equal(denoiser(x, t, guidance=2.0), denoiser(x, t))


def test_preconditioning_is_that_of_edm():
    schedule = NoiseSchedule("edm")
    x0, noise, t, _, sigma, x_t = noised(schedule)
    total = sigma.square() + 0.6**2
    inside = (x0 - (0.36 / total)[:, None] * x_t) / (0.6 * sigma / total.sqrt())[:, None]
    network = Said(lambda *_: inside)
    denoiser = Denoiser(network, schedule, prediction="x0", shape=(3,), precondition=0.6)
    torch.testing.assert_close(denoiser(x_t, t), x0)
    x, time, _ = network.asked[0]
    torch.testing.assert_close(x, x_t / total.sqrt()[:, None])
    torch.testing.assert_close(time, sigma.log() / 4)
    torch.testing.assert_close(denoiser.predict(x_t, t, as_="eps"), noise, rtol=1e-5, atol=1e-5)


def test_gradients_reach_the_network_and_the_sample():
    denoiser = guidable()
    x = torch.randn(3, 2, requires_grad=True)
    denoiser.predict(x, 0.4, torch.tensor([0, 1, 2]), guidance=2.0).sum().backward()
    assert x.grad.abs().min() > 0
    assert denoiser.network.values.weight.grad.abs().min() > 0


def test_a_denoiser_is_one_module():
    denoiser = guidable()
    assert list(denoiser.state_dict()) == ["network.values.weight"]
    x, t = torch.randn(3, 2), torch.rand(3)
    for other in (copy.deepcopy(denoiser), pickle.loads(pickle.dumps(denoiser))):
        assert torch.equal(other(x, t), denoiser(x, t))
        assert repr(other) == repr(denoiser)
    assert "prediction='flow', shape=(2,), conditions=3" in repr(denoiser)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"x": torch.zeros(4, 3)}, r"x_t has shape \(4, 3\) and samples have shape \(2,\)"),
        ({"t": torch.rand(3)}, r"t has shape \(3,\) and x_t \(4, 2\)"),
        ({"t": 249.0}, "t goes from 249 to 249, expected levels from 0"),
        ({"t": torch.tensor([-0.1, 0, 0, 0])}, "t goes from -0.1 to 0"),
        ({"condition": torch.zeros(3).long()}, r"condition has shape \(3,\) and x_t \(4, 2\)"),
        ({"condition": torch.zeros(4)}, r"condition has dtype torch.float32"),
        ({"condition": torch.full((4,), 4)}, "condition holds class indices from 4 to 4"),
        ({"guidance": -1.0}, "guidance is -1.0, expected a finite number"),
        ({"as_": "noise"}, "target is 'noise'"),
    ],
)
def test_what_does_not_fit_is_named(call, words):
    given = {"x": torch.zeros(4, 2), "t": 0.5, "condition": None, **call}
    with pytest.raises(ArgumentError, match=words):
        guidable()(given.pop("x"), given.pop("t"), given.pop("condition"), **given)


def test_a_network_without_classes_takes_none_and_is_not_guided():
    denoiser = Denoiser(Said(), NoiseSchedule(), shape=(2,))
    assert (denoiser.null, denoiser.conditional) == (None, False)
    with pytest.raises(ArgumentError, match="guidance is 2.0 and the network takes no classes"):
        denoiser(torch.zeros(4, 2), 0.5, guidance=2.0)
    with pytest.raises(ArgumentError, match=r"condition has shape \(4,\) and the network takes no"):
        denoiser(torch.zeros(4, 2), 0.5, torch.zeros(4).long())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prediction": "noise"}, "prediction is 'noise'"),
        ({"schedule": NoiseSchedule("vp")}, "prediction is 'flow' and the schedule is vp"),
        ({"conditions": -1}, "conditions is -1"),
        ({"precondition": 0.5}, "precondition is 0.5 with a schedule of 'flow'"),
        ({"precondition": -0.5}, "precondition is -0.5, expected a standard deviation"),
    ],
)
def test_what_contradicts_is_refused(options, words):
    given = {"schedule": NoiseSchedule(), "shape": (2,), **options}
    with pytest.raises(ArgumentError, match=words):
        Denoiser(Said(), given.pop("schedule"), **given)
