"""BatchNorm layers matched with their running statistics, and run on those of the batch."""

import contextlib

import pytest
import torch
from torch import nn

from limbeck.data import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.networks.batch_norm import batch_norms, batch_statistics, statistics_matched
from limbeck.networks.names import build

SPACE = InputSpace((32, 32), 3)
NAMES = [
    "convnet-d3?norm=batch&width=8",
    "resnet18?norm=batch",
    "torchvision:mobilenet_v2",
    "timm:mobilenetv3_small_050",
]


def images(count=6, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, size, size, generator=generator)


def network(name, *, frozen=True):
    """A network that has seen some data, so that its statistics are not the first ones."""
    if ":" in name:
        pytest.importorskip(name.split(":")[0], reason="needs the vision extra")
    torch.manual_seed(0)
    model = build(name, SPACE, 5).train()
    with torch.no_grad():
        for seed in range(3):
            model(images(seed=seed))
    return model.eval().requires_grad_(not frozen)


@contextlib.contextmanager
def written_out(model):
    """The distances as published code computes them, in hooks."""
    found = []

    def hook(layer, given, _output):
        x = given[0]
        rows = x.permute(1, 0, *range(2, x.ndim)).reshape(x.shape[1], -1)
        variance, mean = rows.var(1, unbiased=False), rows.mean(1)
        found.append(torch.norm(layer.running_var - variance, 2))
        found[-1] = found[-1] + torch.norm(layer.running_mean - mean, 2)

    handles = [layer.register_forward_hook(hook) for layer in batch_norms(model)]
    yield found
    for handle in handles:
        handle.remove()


def state(model):
    """Everything that must come back: tensors to the bit, modes, hooks and own attributes."""
    modules = dict(model.named_modules())
    return (
        {name: one.clone() for name, one in model.state_dict().items()},
        {path: one.training for path, one in modules.items()},
        {path: (len(one._forward_hooks), len(one._forward_pre_hooks)) for path, one in
         modules.items()},
        {path: set(vars(one)) for path, one in modules.items()},
    )  # fmt: skip


def assert_same(before, after):
    assert before[0].keys() == after[0].keys()
    assert all(torch.equal(one, after[0][name]) for name, one in before[0].items())
    assert before[1:] == after[1:]


def test_layers_come_in_module_order():
    model = network("convnet-d3?norm=batch&width=8")
    assert batch_norms(model) == [one for one in model.modules() if "BatchNorm" in str(type(one))]
    shared = nn.BatchNorm1d(2)
    assert batch_norms(nn.Sequential(shared, nn.SyncBatchNorm(2), shared))[0] is shared


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_are_those_written_out(name, layout):
    model = network(name).double().to(memory_format=layout)
    before = state(model)
    results = []
    for recorded in (written_out, statistics_matched):
        x = images(seed=9).double().to(memory_format=layout).requires_grad_()
        with recorded(model) as found:
            logits = model(x)
            distances = found if recorded is written_out else found.distances()
            loss = logits.logsumexp(1).mean() + 0.1 * torch.stack(distances).sum()
            loss.backward()
        results.append((logits, distances, x.grad))
    assert len(results[0][1]) == len(batch_norms(model))
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-9)
    assert_same(before, state(model))


def test_each_pass_has_its_own_distances():
    model = network("convnet-d3?norm=batch&width=8")
    with statistics_matched(model) as matched:
        for seed in (4, 5):
            with written_out(model) as expected:
                model(images(seed=seed))
            torch.testing.assert_close(matched.distances(), expected, rtol=1e-5, atol=1e-5)
            assert matched.distances()[0] is matched.distances()[0]


def test_weights_that_learn_get_the_same_gradient():
    model = network("convnet-d3?norm=batch&width=8", frozen=False)
    found = []
    for recorded in (written_out, statistics_matched):
        with recorded(model) as said:
            model(images())
            distances = said if recorded is written_out else said.distances()
            torch.stack(distances).sum().backward()
        found.append({name: one.grad for name, one in model.named_parameters()})
        model.zero_grad()
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 5)])
def test_vectors_and_sequences(shape):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Identity(), nn.BatchNorm1d(3)).train()
    model(torch.randn(shape))
    model.eval()
    x = torch.randn(shape)
    with written_out(model) as expected, statistics_matched(model) as matched:
        torch.testing.assert_close(model(x), model[1](x))
    # The layer was called once by itself as well; what counts is the mean of its calls.
    torch.testing.assert_close(matched.distances()[0], expected[0])


def test_a_layer_called_twice_counts_once():
    torch.manual_seed(0)
    shared = nn.BatchNorm1d(3)
    model = nn.Sequential(shared, nn.Linear(3, 3), shared).eval()
    with written_out(model) as expected, statistics_matched(model) as matched:
        model(torch.randn(5, 3))
    assert len(expected) == 2
    torch.testing.assert_close(matched.distances(), [torch.stack(expected).mean()])


def test_a_layer_that_was_not_called_is_named():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Identity()).eval()
    model[1].idle = nn.BatchNorm1d(3).eval()
    with statistics_matched(model) as matched:
        with pytest.raises(ModelError, match="layer 0 was not called"):
            matched.distances()
        model(torch.randn(4, 3))
        with pytest.raises(ModelError, match=r"layer 1\.idle was not called"):
            matched.distances()


def test_blocks_inside_each_other_agree():
    model = network("convnet-d3?norm=batch&width=8")
    before = state(model)
    with statistics_matched(model) as outer:
        with statistics_matched(model) as inner:
            model(images())
        torch.testing.assert_close(outer.distances(), inner.distances())
        model(images(seed=1))
        assert outer.distances()[0] != inner.distances()[0]
    assert_same(before, state(model))


def test_everything_comes_back_after_an_exception():
    model = network("convnet-d3?norm=batch&width=8")
    before = state(model)
    for block in (statistics_matched, batch_statistics):
        with pytest.raises(RuntimeError), block(model):
            model(images().double())
        assert_same(before, state(model))


def test_training_mode_is_refused():
    model = network("convnet-d3?norm=batch&width=8")
    model.features[1].train()
    with (
        pytest.raises(ModelError, match=r"features\.1 is in training mode.*model\.eval\(\)"),
        statistics_matched(model),
    ):
        pass


@pytest.mark.parametrize("block", [batch_norms, statistics_matched, batch_statistics])
def test_a_network_without_batch_norm_is_refused(block):
    model = build("convnet-d2?width=8", SPACE, 5).eval()
    with pytest.raises(ModelError, match="no BatchNorm layer.*norm=batch"):
        entered(block(model))


@pytest.mark.parametrize("block", [batch_norms, statistics_matched])
def test_a_layer_without_running_statistics_is_named(block):
    model = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    with pytest.raises(ModelError, match="layer 1 has no running statistics"):
        entered(block(model))


def entered(block):
    with block:
        pass


def test_mixed_precision():
    model = network("convnet-d3?norm=batch&width=8")
    x = images().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16), statistics_matched(model) as matched:
        logits = model(x)
        distances = matched.distances()
    with statistics_matched(model) as exact:
        model(x)
    assert {one.dtype for one in distances} == {torch.float32}
    torch.testing.assert_close(distances, exact.distances(), rtol=0.05, atol=0.05)
    (logits.float().sum() + torch.stack(distances).sum()).backward()
    assert bool(x.grad.isfinite().all())


def test_a_compiled_model_says_the_same():
    model = network("convnet-d3?norm=batch&width=8")
    with statistics_matched(model) as matched:
        expected = model(images())
        distances = matched.distances()
        compiled = torch.compile(model, backend="eager")
        torch.testing.assert_close(compiled(images()), expected)
        torch.testing.assert_close(matched.distances(), distances)


@pytest.mark.parametrize("training", [True, False])
def test_batch_statistics_normalise_by_the_batch(training):
    model = network("torchvision:mobilenet_v2").train(training)
    before = state(model)
    reference = build("torchvision:mobilenet_v2", SPACE, 5)
    reference.load_state_dict(model.state_dict())
    reference.eval()
    for layer in batch_norms(reference):
        layer.train()
    with torch.no_grad(), batch_statistics(model):
        assert {one.training for one in model.modules() if isinstance(one, nn.Dropout)} == {
            training
        }
        model.classifier.eval()
        found = model(images())
        model.classifier.train(training)
    torch.testing.assert_close(found, reference(images()))
    assert_same(before, state(model))


def test_batch_statistics_do_not_depend_on_the_running_ones():
    one, other = network("convnet-d3?norm=batch&width=8"), network("convnet-d3?norm=batch&width=8")
    for layer in batch_norms(other):
        layer.running_mean += 1
        layer.running_var *= 2
    with batch_statistics(one, other, one):
        assert torch.equal(one(images()), other(images()))
    assert not torch.equal(one(images()), other(images()))


def test_one_value_a_channel_is_refused():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).eval()
    with batch_statistics(model):
        model(images(2))
        with pytest.raises(ArgumentError, match="layer 1 gets .*two or more images"):
            model(images(1))


def test_matching_inside_batch_statistics_and_the_other_way_round_is_refused():
    model = network("convnet-d3?norm=batch&width=8")
    with pytest.raises(ModelError, match="inside batch_statistics"), batch_statistics(model):
        entered(statistics_matched(model))
    refused = pytest.raises(ModelError, match="inside batch_statistics")
    with statistics_matched(model), batch_statistics(model), refused:
        model(images())
