"""The loop does what a written-out loop does, whoever's turn it is."""

import itertools

import pytest
import torch
from torch import nn

from limbeck.errors import ArgumentError, RunError
from limbeck.loops import Optim, Watch, alternate, ema, swa
from limbeck.run import Run
from limbeck.run.run import Options

from .toys import SGD, STEPS, TURNS, Net, copied, inputs, pull, same


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


# Turns


def written_out(models, turn):
    """Plain torch, for comparison."""
    optimisers = {
        name: torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for name, model in models.items()
    }
    for step in range(STEPS):
        terms = [
            (model(inputs(step)) - len(name)).square().mean() for name, model in models.items()
        ]
        sum(terms).backward()
        for name in turn(step):
            optimisers[name].step()
        for optimiser in optimisers.values():
            optimiser.zero_grad()


@pytest.mark.parametrize("order", TURNS)
def test_models_learn_when_it_is_their_turn(run, order):
    turn = TURNS[order]
    ours = {"a": Net(0), "bb": Net(1)}
    theirs = {"a": Net(0), "bb": Net(1)}
    optims = dict.fromkeys(ours, SGD)
    alternate(run, "s", ours, optims, STEPS, step=pull, turn=lambda at: turn(at.step))
    written_out(theirs, turn)
    for name in ours:
        assert same(ours[name].state_dict(), theirs[name].state_dict())


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("missed", [None, 6])
def test_an_optimiser_starts_anew_at_its_milestones(run, name, missed):
    optim = Optim(
        name, lr=0.1, momentum=0.9, schedule="steps", milestones=(0.5, 0.75), restart=True
    )
    ours, theirs = Net(), Net()
    # A milestone counts too where it is not the model's turn.
    turns = [step for step in range(STEPS) if step != missed]
    alternate(run, "s", {"a": ours}, {"a": optim}, STEPS, step=pull,
              turn=lambda at: ["a"] if at.step in turns else [])  # fmt: skip
    for step in turns:
        if step in (0, 9, 6 if missed is None else 7):
            optimiser = optim.build(theirs.parameters())
        optimiser.param_groups[0]["lr"] = optim.rate(step, STEPS)
        pull({"a": theirs}, None, run.at("s", step))["a"].backward()
        optimiser.step()
        optimiser.zero_grad()
    assert same(ours.state_dict(), theirs.state_dict())


def test_a_model_without_an_optimiser_is_kept_as_it_is(run):
    models = {"a": Net(0), "bb": Net(1)}
    before = copied(models["bb"])
    alternate(run, "s", models, {"a": SGD}, STEPS, step=pull)
    assert same(before, models["bb"].state_dict())
    found = run.resume("s")
    assert set(found.models) == {"a", "bb"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optims": {"b": SGD}}, "optimiser or average for 'b' and no model of that name"),
        ({"average": {"aa": ema(0.9)}}, "optimiser or average for 'aa'.*the models are a"),
        ({"models": {"a": Net().requires_grad_(False)}}, "'a' has an optimiser and no parameter"),
        ({"models": {"a": nn.ReLU()}}, "'a' has an optimiser and no parameter to train"),
        ({"turn": lambda at: ["aa"]}, "turn names 'aa', which has no optimiser; did you mean a"),
        ({"accumulate": 0}, "accumulate is 0, expected at least 1"),
        ({"accumulate": 2}, "accumulate is 2 and there are no batches to cut"),
        ({"step": lambda models, batch, at: {}}, "there are no terms to minimise"),
        (
            {"step": lambda models, batch, at: {"pull": models["a"](inputs(0))}},
            r"term 'pull' of stage s has shape \(4, 2\), expected a scalar",
        ),
    ],
)
def test_what_cannot_work_is_refused(run, change, words):
    given = {"models": {"a": Net()}, "optims": {"a": SGD}, "step": pull, **change}
    with pytest.raises(ArgumentError, match=words):
        alternate(run, "s", given.pop("models"), given.pop("optims"), STEPS, **given)


# Seams


def test_combine_sees_the_terms_and_what_learns(run):
    seen = []

    def combine(terms, parameters):
        seen.append((set(terms), [id(one) for one in parameters]))
        grads = [torch.autograd.grad(term, parameters, retain_graph=True, allow_unused=True)
                 for term in terms.values()]  # fmt: skip
        assert len(grads) == 2
        return terms["a"] * 0.5 + terms["bb"] * 2

    models = {"a": Net(0), "bb": Net(1)}
    turn = TURNS["one after the other"]
    alternate(run, "s", models, dict.fromkeys(models, SGD), 4, step=pull,
              turn=lambda at: turn(at.step), combine=combine)  # fmt: skip
    own = {name: [id(one) for one in model.parameters()] for name, model in models.items()}
    assert seen == [({"a", "bb"}, own[name]) for name in ("a", "bb", "a", "bb")]


def test_combine_weighs_the_gradient(run):
    first, second = Net(), Net()
    alternate(run, "s", {"a": first}, {"a": Optim("sgd", lr=0.1)}, 3, step=pull,
              combine=lambda terms, parameters: terms["a"] * 0.25)  # fmt: skip
    alternate(Run(run.dir / "b"), "s", {"a": second}, {"a": Optim("sgd", lr=0.025)}, 3, step=pull)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(value, second.state_dict()[name])


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (ema(0.8), lambda states: _fold(states[1:], states[0], lambda n: 0.2)),
        (swa(1), lambda states: sum(states[1:]) / STEPS),
        (swa(4), lambda states: sum(states[4:]) / (STEPS - 3)),
        (swa(2, every=3), lambda states: sum(states[2::3]) / len(states[2::3])),
    ],
)
def test_averages_are_those_of_a_written_out_loop(run, share, expected):
    states = []
    net = Net(norm=True)

    def step(models, batch, at):
        states.append(models["a"].body.weight.detach().clone())
        return pull(models, batch, at)

    trained = alternate(run, "s", {"a": net}, {"a": SGD}, STEPS, step=step, average={"a": share})
    states.append(net.body.weight.detach().clone())
    torch.testing.assert_close(trained.averages["a"]["body.weight"], expected(states))
    last = max(step for step in range(1, STEPS + 1) if share(step))
    assert int(trained.averages["a"]["norm.num_batches_tracked"]) == last
    assert not torch.equal(trained.averages["a"]["body.weight"], net.body.weight)


def _fold(states, value, share):
    for number, state in enumerate(states):
        value = value + share(number) * (state - value)
    return value


def test_a_large_gradient_is_clipped(run):
    net = Net()
    before = copied(net)
    optim = Optim("sgd", lr=1.0, clip=0.01)
    alternate(run, "s", {"a": net}, {"a": optim}, 1, step=lambda models, batch, at: {
        "pull": 1e6 * pull(models, batch, at)["a"]
    })  # fmt: skip
    moved = [(net.state_dict()[name] - value).square().sum() for name, value in before.items()]
    assert float(sum(moved).sqrt()) == pytest.approx(0.01, rel=1e-3)


def test_rates_follow_the_schedule(run):
    net = Net()
    optim = Optim("sgd", lr=0.5, schedule="linear", warmup=0.25)
    weights = [net.body.weight.detach().clone()]

    def step(models, batch, at):
        # The gradient of this term is 1 everywhere.
        return {"sum": models["a"].body.weight.sum()}

    def watched(models):
        weights.append(models["a"].body.weight.detach().clone())
        return 0.0

    alternate(run, "s", {"a": net}, {"a": optim}, STEPS, step=step,
              watch=Watch(watched, every=1))  # fmt: skip
    moved = [float((a - b).mean()) for a, b in itertools.pairwise(weights)]
    assert moved == pytest.approx([optim.rate(n, STEPS) for n in range(STEPS)], rel=1e-4)


# Not finite


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_names_step_and_term(run, value):
    def step(models, batch, at):
        terms = pull(models, batch, at)
        return {**terms, "extra": terms["a"] * (value if at.step == 3 else 0.0)}

    with pytest.raises(RunError, match=rf"stage s .* at step 3 \(a = .*, extra = {value}\)"):
        alternate(run, "s", {"a": Net()}, {"a": SGD}, STEPS, step=step)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_step_may_ask_for_gradients_in_any_precision(tmp_path, precision):
    asked = []

    def step(models, batch, at):
        loss = models["net"](torch.ones(2, 3)).float().square().mean()
        asked.append(torch.autograd.grad(loss, net.parameters(), retain_graph=True))
        return {"loss": loss}

    net = torch.nn.Linear(3, 2)
    run = Run(tmp_path, options=Options(precision=precision))
    alternate(run, "asking", {"net": net}, {"net": Optim("sgd", lr=0.1)}, 2, step=step)
    assert len(asked) == 2
