"""A cascade says what its windows say, skips what it says it skips, and comes back from disk."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

import limbeck
from limbeck.data import Batch, InputSpace, digits, from_arrays, sequential
from limbeck.data.splits import Subset
from limbeck.errors import (
    ArgumentError,
    CorruptFileError,
    ModelError,
    NoEffectWarning,
    UnusualUseWarning,
)
from limbeck.networks.names import build
from limbeck.products import WindowCascade
from limbeck.selection import ExitPolicy
from limbeck.teachers import ensemble, teacher

from .cascades import Counting, Exits, blobs


@pytest.fixture(scope="module")
def data():
    return blobs()


@pytest.fixture
def pair():
    return [Counting(1), Counting(2)]


def inputs(data):
    return data.test.take(np.arange(len(data.test)))["x"]


def test_later_stages_are_asked_about_the_window_alone(data, pair):
    cascade = WindowCascade.of(pair, data).calibrate(data)
    x = inputs(data)
    for one in pair:
        one.asked = 0
    reached = cascade.reached(x)
    assert pair[0].asked == len(x)
    assert pair[1].asked == int((reached == 1).sum())
    assert 0.1 < float(reached.double().mean()) < 0.3


def test_what_is_run_equals_what_arrays_give(data, pair):
    three = [*pair, Counting(3)]
    cascade = WindowCascade.of(three, data, ExitPolicy(half_width=0.2)).calibrate(data)
    x = inputs(data)
    routed = cascade.exits.route(torch.stack([one(x) for one in three]))
    torch.testing.assert_close(cascade.logits(x), routed.outputs)
    torch.testing.assert_close(cascade.confidence(x), routed.confidence)
    assert torch.equal(cascade.reached(x), routed.reached)
    assert set(routed.reached.tolist()) == {0, 1, 2}


@pytest.mark.parametrize("score", ["msp", "entropy", "max_logit", "energy"])
def test_the_ends_are_the_first_stage_and_the_ensemble_to_the_bit(data, pair, score):
    x = inputs(data)
    both = ensemble(teacher(pair[0]), teacher(pair[1]))
    for half_width, whole in ((0.0, teacher(pair[0])), (1.0, both)):
        policy = ExitPolicy(score=score, half_width=half_width)
        cascade = WindowCascade.of(pair, data, policy).calibrate(data)
        assert torch.equal(cascade.logits(x), whole(Batch({"x": x})).logits)
        other = cascade.whole if half_width else cascade.first
        assert cascade.evaluate(data) == other.evaluate(data)


def test_it_is_calibrated_on_arrays_as_on_data(data, pair):
    cascade = WindowCascade.of(pair, data)
    first = cascade.calibrate(data).exits
    said = cascade.predictions(data)
    assert cascade.calibrate(said).exits == first
    other = cascade.calibrate(said, ExitPolicy(half_width=0.3)).exits
    assert other.half_widths == (0.3,)


def test_acceptance_meets_its_target_on_what_the_cascade_says(data, pair):
    cascade = WindowCascade.of(pair, data, ExitPolicy(target=0.6)).calibrate(data)
    share = float(cascade.accept(inputs(data)).double().mean())
    assert abs(share - 0.6) < 0.1
    with pytest.raises(ModelError, match="no threshold of acceptance"):
        cascade.whole.accept(inputs(data))


def test_another_pool_gets_windows_of_its_own(data, pair):
    cascade = WindowCascade.of(pair, data).calibrate(data)
    pool = inputs(data) * 0.3
    there = cascade.shifted(pool)
    shares = [float(one.reached(pool).double().mean()) for one in (cascade, there)]
    assert abs(shares[1] - 0.2) < abs(shares[0] - 0.2)
    assert there.exits.acceptance == cascade.exits.acceptance
    with pytest.raises(ArgumentError, match="x is empty"):
        cascade.shifted(pool[:0])


def test_exits_of_one_network_go_on_from_what_was_left(data):
    torch.manual_seed(0)
    network = Exits()
    cascade = WindowCascade.of(network, data, ExitPolicy(half_width=0.2)).calibrate(data)
    x = inputs(data)
    asked = []
    for part in network.parts:
        part.register_forward_hook(lambda part, given, said: asked.append(len(given[0])))
    reached = cascade.reached(x)
    assert asked == [int((reached >= k).sum()) for k in range(3)]
    routed = cascade.exits.route(torch.stack(network(x)))
    torch.testing.assert_close(cascade.logits(x), routed.outputs)
    torch.testing.assert_close(cascade.whole.logits(x), network(x)[-1])


class Left:
    """What a stage leaves, counted while somebody keeps it."""

    kept = most = 0

    def __init__(self):
        Left.kept += 1
        Left.most = max(Left.most, Left.kept)

    def __del__(self):
        Left.kept -= 1


def test_what_a_stage_leaves_is_kept_of_one_batch_at_a_time(data):
    network = Exits()
    cascade = WindowCascade.of(network, data, ExitPolicy(half_width=0.3)).calibrate(data)
    body = network.parts[0].body

    def watched(x):
        state = type(body).forward(body, x)
        # It lives as long as the tensor that it belongs to.
        state.mark = Left()
        return state

    network.parts[0].forward = lambda x: (network.parts[0].head(state := watched(x)), state)
    x = inputs(data).repeat(30, 1)
    assert len(x) > 3 * 512
    for one in (cascade, cascade.whole):
        Left.most = 0
        assert torch.equal(one.reached(x), torch.cat([one.reached(part) for part in x.split(512)]))
        assert Left.most == 1


@pytest.mark.parametrize("form", ["tuple", "list", "mapping"])
def test_exits_that_come_at_once_are_said_to_skip_nothing(data, form):
    network = Exits(lazy=False)
    usual = network.forward
    shapes = {
        "tuple": tuple,
        "list": list,
        "mapping": lambda said: {str(place): one for place, one in enumerate(said)},
    }
    network.forward = lambda x: shapes[form](usual(x))
    with pytest.warns(UnusualUseWarning, match="no work is skipped"):
        cascade = WindowCascade.of(network, data)
    cascade.calibrate(data)
    lazy = WindowCascade.of(Exits(), data).calibrate(data)
    torch.testing.assert_close(cascade.logits(inputs(data)), lazy.logits(inputs(data)))


def test_cost_is_that_of_the_samples_that_reach_each_stage(data, pair):
    cascade = WindowCascade.of(pair, data).calibrate(data)
    costs = cascade.stage_costs(data)
    assert [one.macs for one in costs] == [6, 6]
    assert costs[0].share == 1.0
    assert costs[1].share == float(cascade.reached(inputs(data)).double().mean())
    found = cascade.cost(data)
    assert found["macs"] == pytest.approx(6 + 6 * costs[1].share)
    assert found["parameters"] == 18
    assert cascade.first.cost(data)["parameters"] == 9


def test_members_read_spaces_of_their_own(data):
    real = digits()
    colour = InputSpace(size=(12, 12), channels=3, mean=(0.5,) * 3, std=(0.5,) * 3)
    torch.manual_seed(0)
    models = [
        build("mlp?hidden=8", real.input_space, 10),
        teacher(build("cnn?width=4&stages=1", colour, 10), input_space=colour),
    ]
    cascade = WindowCascade.of(models, real, ExitPolicy(half_width=1)).calibrate(real)
    x = real.columns(real.test, np.arange(20))["x"]
    batch = next(sequential(real, real.test, 20))
    assert torch.equal(cascade.logits(x), cascade.outputs(batch).logits)


def test_a_cascade_survives_saving(data, pair, tmp_path):
    for policy in (ExitPolicy(), ExitPolicy(rule="threshold"), ExitPolicy(half_width=(1.0,))):
        cascade = WindowCascade.of(pair, data, policy).calibrate(data)
        cascade.save(tmp_path / "product")
        again = limbeck.load(tmp_path / "product", network=[Counting(8), Counting(9)])
        assert torch.equal(again.logits(inputs(data)), cascade.logits(inputs(data)))
        assert again.exits == cascade.exits
        assert again.policy == policy
        assert again.fingerprint == cascade.fingerprint
        again.save(tmp_path / "again")
        names = [one.name for one in (tmp_path / "product").iterdir()]
        assert sorted(names) == ["manifest.json", "member-0", "member-1", "product.json"]
        for name in ("manifest.json", "product.json"):
            first, second = ((tmp_path / one / name).read_bytes() for one in ("product", "again"))
            assert first == second
    with pytest.raises(ModelError, match=r"network=\[\.\.\.\]"):
        limbeck.load(tmp_path / "product")
    path = tmp_path / "product" / "member-1" / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptFileError, match="altered"):
        limbeck.load(tmp_path / "product")


def test_a_network_of_exits_survives_saving(data, tmp_path):
    for lazy in (True, False):
        with nullcontext() if lazy else pytest.warns(UnusualUseWarning):
            cascade = WindowCascade.of(Exits(lazy), data)
        cascade.calibrate(data).save(tmp_path / "product")
        again = limbeck.load(tmp_path / "product", network=Exits(lazy))
        assert torch.equal(again.logits(inputs(data)), cascade.logits(inputs(data)))


def test_validation_samples_that_were_trained_on_are_refused(data, pair):
    known = dataclasses.replace(data, validation=Subset(data.train, np.arange(50)))
    with pytest.raises(ArgumentError, match="50 validation samples .* are training samples too"):
        WindowCascade.of(pair, data).calibrate(known)
    train = data.train.take(np.arange(200))
    same = from_arrays(
        train["x"], train["y"], validation=(train["x"], train["y"]), test=(train["x"], train["y"])
    )
    with pytest.raises(ArgumentError, match="set samples apart"):
        WindowCascade.of(pair, same).calibrate(same)
    # Ids of splits that came by themselves are numbered each from 0 and tell nothing.
    WindowCascade.of(pair, data).calibrate(data)


def test_what_is_no_cascade_is_refused(data, pair):
    cascade = WindowCascade.of(pair, data)
    with pytest.raises(ModelError, match="no windows yet"):
        cascade.predict(inputs(data))
    with pytest.warns(NoEffectWarning, match="one model with one exit"):
        alone = WindowCascade.of(pair[:1], data)
    assert torch.equal(alone.calibrate(data).logits(inputs(data)), pair[0](inputs(data)))
    numbers = from_arrays(torch.rand(60, 2), torch.rand(60))
    with pytest.raises(ArgumentError, match="is regression"):
        WindowCascade.of(pair, numbers)
    with pytest.raises(ModelError, match="all must know the same classes|other classes"):
        WindowCascade.of([pair[0], nn.Linear(2, 4)], data).calibrate(data)
    with pytest.raises(ArgumentError, match=r"expected \(N, 2\)"):
        cascade.calibrate(data).predict(np.zeros((3, 5)))
    with pytest.raises(ModelError, match="classes"):
        cascade.evaluate(digits())


def test_no_sample_gives_no_answer(data, pair):
    cascade = WindowCascade.of(pair, data).calibrate(data)
    assert cascade.logits(np.zeros((0, 2))).shape == (0, 3)
    assert cascade.confidence(np.zeros((0, 2))).shape == (0,)
    assert cascade.accept(np.zeros((0, 2))).dtype == torch.bool


def test_stages_that_leave_something_odd_are_told_of(data):
    network = Exits()
    network.parts[0].forward = lambda x: torch.zeros(len(x), 3)
    with pytest.raises(ModelError, match="expected a pair"):
        WindowCascade.of(network, data).calibrate(data)


def named(data, classes):
    return dataclasses.replace(data, classes=classes)


def test_members_say_the_classes_in_the_order_of_the_data(data):
    data = named(data, ("zebra", "ape", "mole"))
    rows = data.train.take(np.arange(len(data.train)))
    words = np.array(data.classes)[rows["y"].numpy()]
    fitted = [LogisticRegression(C=c).fit(rows["x"].numpy(), words) for c in (0.1, 1.0)]
    assert fitted[0].classes_.tolist() != list(data.classes), "there is something to put in order"
    cascade = WindowCascade.of(fitted, data).calibrate(data)
    assert cascade.evaluate(data)["accuracy"] > 0.7
    row = cascade.cost(data)
    assert row["bytes"] > 0
    assert "macs" not in row, "nobody counts the multiply-adds of an estimator"


def test_a_student_of_classes_in_another_order_is_refused(data, pair):
    data = named(data, ("a", "b", "c"))
    students = [
        limbeck.Student(one, data.input_space, data.task, classes)
        for one, classes in zip(pair, [("a", "b", "c"), ("c", "b", "a")], strict=True)
    ]
    with pytest.raises(ModelError, match="class 0 is 'c'"):
        WindowCascade.of(students, data)


def test_an_ensemble_that_combines_otherwise_is_refused(data, pair):
    from limbeck.functional.pools import mean_logits

    other = ensemble(*map(teacher, pair), combine=mean_logits)
    with pytest.raises(ArgumentError, match=r"mean_logits.*mean_probabilities"):
        WindowCascade.of(other, data)


def test_exits_of_other_classes_are_told_of(data):
    class Uneven(nn.Module):
        def forward(self, x):
            return x.new_zeros(len(x), 3), x.new_zeros(len(x), 5), x.new_zeros(len(x), 3)

    with pytest.raises(ModelError, match="all for the same classes"):
        WindowCascade.of(Uneven(), data)


def test_the_first_of_exits_survives_saving(data, tmp_path):
    first = WindowCascade.of(Exits(), data).first
    first.save(tmp_path / "first")
    again = limbeck.load(tmp_path / "first", network=Exits())
    assert torch.equal(again.logits(inputs(data)), first.logits(inputs(data)))


def test_latency_is_that_of_whole_calls(data, pair, monkeypatch):
    from limbeck.products import cascade_measures

    cascade = WindowCascade.of(pair, data).calibrate(data)
    asked = []

    def timed(call):
        asked.append(len(call()) if not hasattr(call(), "extra") else int(call().extra["reached"]))
        return 1.0 + asked[-1]

    monkeypatch.setattr(cascade_measures, "median_ms", timed)
    costs = cascade.cost(data)
    share = float(cascade.reached(inputs(data)).double().mean())
    assert asked[-2:] == [0, 1], "one call that ends at each stage"
    assert costs["latency_ms"] == pytest.approx(1 + share, abs=1e-4)


class Threshold(LogisticRegression):
    """A class of the user's own, which no library is known by."""


def test_estimators_of_the_users_own_are_loaded_where_they_are_trusted(data, pair, tmp_path):
    rows = data.train.take(np.arange(len(data.train)))
    fitted = [Threshold(C=c).fit(rows["x"].numpy(), rows["y"].numpy()) for c in (0.1, 1.0)]
    cascade = WindowCascade.of(fitted, data).calibrate(data)
    cascade.save(tmp_path / "product")
    name = f"{Threshold.__module__}.Threshold"
    for load in (limbeck.load, WindowCascade.load):
        with pytest.raises(ModelError, match="holds .*Threshold.* trusted="):
            load(tmp_path / "product")
        again = load(tmp_path / "product", trusted=[name])
        assert torch.equal(again.logits(inputs(data)), cascade.logits(inputs(data)))
    limbeck.Student.of(pair[0], data).save(tmp_path / "student")
    with pytest.raises(ArgumentError, match="whose estimators trusted= is about"):
        limbeck.load(tmp_path / "student", network=Counting(), trusted=[name])


def test_predictions_of_other_stages_or_classes_are_refused(data, pair):
    cascade = WindowCascade.of(pair, data)
    said, target = cascade.predictions(data)
    for other in (said[:1], torch.cat([said, said + 1]), torch.cat([said, said[..., :1]], -1)):
        stages, _, classes = other.shape
        with pytest.raises(ArgumentError, match=f"{stages} stages and {classes} classes.* 2 and 3"):
            cascade.calibrate((other, target))
    for other in (None, said, (said, target, target)):
        with pytest.raises(ArgumentError, match="expected data, its name, or a pair"):
            cascade.calibrate(other)
    assert cascade.exits is None
    exits = ExitPolicy().calibrated(said, target)
    with pytest.raises(ArgumentError, match="exits are of 2 stages and there are 1"):
        WindowCascade(cascade.models.upto(1), data.input_space, data.classes, exits=exits)


def test_names_do_for_data():
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2)]
    named = WindowCascade.of(models, "digits").calibrate("digits")
    assert named.exits == WindowCascade.of(models, digits()).calibrate(digits()).exits


def test_what_has_no_threshold_is_not_shifted(data, pair):
    cascade = WindowCascade.of(pair, data).calibrate(data)
    x = inputs(data)
    with pytest.raises(ArgumentError, match="were not calibrated"):
        cascade.whole.shifted(x)
    with pytest.raises(ArgumentError, match="1 sample to place a window on"):
        cascade.shifted(x[:1])
    alone = dataclasses.replace(data, validation=Subset(data.validation, np.arange(1)))
    with pytest.raises(ArgumentError, match="1 sample to place a window on"):
        WindowCascade.of(pair, alone).calibrate(alone)


def test_students_and_a_network_of_exits_alone_teach(data, pair):
    """A student is its network in its space; a list of stages says what the last of them does."""
    from limbeck.loops.teach import as_teachers

    space = InputSpace(size=(2,), mean=(1.0, 1.0), std=(2.0, 2.0))
    student = limbeck.Student(pair[0], space, data.task, data.classes)
    batch = next(sequential(data, data.test, 9))
    taught = as_teachers([student], data)[0]
    assert torch.equal(taught(batch).logits, pair[0](space.normalise(batch["x"])))
    network = Exits()
    expected = network(batch["x"])[-1]
    network.forward = nn.Module.forward.__get__(network)
    assert torch.equal(teacher(network)(batch).logits, expected)
    cascade = WindowCascade.of(teacher(network), data).calibrate(data)
    torch.testing.assert_close(cascade.whole.logits(inputs(data))[:9], expected)
