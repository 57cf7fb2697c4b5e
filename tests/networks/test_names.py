"""Networks by name: built with the data's inputs and outputs, or refused with the nearest name."""

import collections
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from limbeck.data import InputSpace, from_arrays
from limbeck.errors import ArgumentError, ModelError
from limbeck.keyed import torch_seeded
from limbeck.networks.adapted import Adapted
from limbeck.networks.making import weights_of, with_head
from limbeck.networks.names import build, read_weights, structure
from limbeck.products import Student

COLOUR = InputSpace((32, 32), 3, (0.5,) * 3, (0.2,) * 3)
GREY = InputSpace((32, 32), 1, (0.5,), (0.2,))
VECTOR = InputSpace((6,))


def weights(outputs=4, seed=0):
    with torch_seeded(seed):
        return build("mlp?hidden=5", VECTOR, outputs)


# Our own


@pytest.mark.parametrize(
    ("name", "space"),
    [("mlp", VECTOR), ("mlp?hidden=7x5", COLOUR), ("cnn", GREY), ("cnn?width=4&stages=3", COLOUR)],
)
def test_our_own_take_the_inputs_and_give_the_outputs(name, space):
    network = build(name, space, 7)
    assert network.eval()(torch.zeros(2, *space.shape)).shape == (2, 7)
    assert network.limbeck_spec == name


def test_the_same_name_under_the_same_seed_is_the_same_network():
    first, second = weights(), weights()
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=1))


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("mpl", ModelError, r"no network 'mpl'; did you mean mlp\?"),
        ("tim:resnet18", ModelError, r"no networks are known under 'tim:'; did you mean timm\?"),
        ("mlp?hiden=3", ArgumentError, r"mlp has no option 'hiden'; did you mean hidden\?"),
        ("mlp?hidden=big", ArgumentError, "hidden is 'big', expected widths such as 128 or 64x64"),
        ("mlp?hidden=8x0", ArgumentError, "hidden is '8x0', expected widths"),
        ("mlp?hidden=-4", ArgumentError, "hidden is -4, expected widths"),
        ("cnn?width=0", ArgumentError, "width is 0, expected a whole number of channels"),
        ("cnn?width=wide", ArgumentError, "width is 'wide', expected a whole number"),
        ("cnn?stages=0", ArgumentError, "stages is 0, expected at least 1"),
        ("cnn?stages=1.5", ArgumentError, r"stages is 1\.5, expected at least 1"),
        ("cnn?stages=6", ArgumentError, r"stages is 6, .* the halvings of \(32, 32\)"),
    ],
)
def test_wrong_names_and_options_are_refused(name, error, words):
    with pytest.raises(error, match=words):
        build(name, COLOUR, 10)


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match=r"a cnn takes images .* \(6,\); use mlp"):
        build("cnn", VECTOR, 3)
    with pytest.raises(ArgumentError, match="mlp needs to know the shape of its inputs"):
        build("mlp", None, 3)


# Libraries


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("timm:resnet18?pretrained=false", COLOUR),
        ("timm:resnet10t", GREY),
        ("timm:vit_tiny_patch16_224?depth=1&drop_rate=0.1", COLOUR),
        ("torchvision:resnet18?pretrained=false", COLOUR),
        ("torchvision:squeezenet1_1", GREY),
    ],
)
def test_libraries_build_for_our_inputs_and_outputs(name, space):
    pytest.importorskip(name.split(":")[0], reason="needs the vision extra")
    network = build(name, space, 7)
    assert network.eval()(torch.zeros(2, *space.shape)).shape == (2, 7)
    assert network.limbeck_spec == name


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("timm:resnet1", ModelError, r"timm has no model 'resnet1'; did you mean resnet\d"),
        ("torchvision:resnet", ModelError, r"torchvision has no .* did you mean resnet\d"),
        ("timm:resnet18.none", ModelError, "timm:resnet18.none cannot be made: Invalid pretrained"),
        ("timm:resnet18?nope=3", ArgumentError, "timm:resnet18 does not take these options.*nope"),
        ("torchvision:resnet18?nope=3", ArgumentError, "does not take these options.*nope"),
        ("timm:resnet18?size=64", ArgumentError, r"size .* only with pretrained=true"),
        ("torchvision:resnet18?size=64", ArgumentError, r"size .* only with pretrained=true"),
    ],
)
def test_libraries_wrong_names_and_options_are_refused(name, error, words):
    pytest.importorskip(name.split(":")[0], reason="needs the vision extra")
    with pytest.raises(error, match=words):
        build(name, COLOUR, 10)


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_weights_that_cannot_be_fetched_are_told_with_two_ways_out(name, monkeypatch, tmp_path):
    library = pytest.importorskip(name.split(":")[0], reason="needs the vision extra")
    if library.__name__ == "timm":
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    else:

        def refused(*_args, **_options):
            raise OSError("no network")

        monkeypatch.setattr("torch.hub.load_state_dict_from_url", refused)
        monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refused)
    words = rf"(?s){name} cannot be made.*\?pretrained=false, or bring them: file:WEIGHTS"
    with pytest.raises(ModelError, match=words):
        build(f"{name}?pretrained=true", COLOUR, 10)


def test_a_library_may_fail_in_any_way(monkeypatch):
    """A client of the network raises errors of its own kind."""
    timm = pytest.importorskip("timm", reason="needs the vision extra")

    class ConnectError(Exception):
        pass

    def create(*_args, **_options):
        raise ConnectError("nobody answers")

    monkeypatch.setattr(timm, "create_model", create)
    with pytest.raises(ModelError, match="timm:resnet18 cannot be made: nobody answers"):
        build("timm:resnet18?pretrained=true", COLOUR, 10)


def test_a_library_that_is_not_installed_is_told(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", absent)
    with pytest.raises(ModelError, match=r"timm is not installed; pip install 'limbeck\[vision\]'"):
        build("timm:resnet18", COLOUR, 10)


@pytest.mark.parametrize(
    ("model", "place"),
    [
        (nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.ReLU(), nn.Linear(3, 9))), "1.1"),
        (nn.Sequential(nn.Conv2d(3, 9, 1), nn.ReLU()), "0"),
        (nn.Linear(3, 9), ""),
    ],
)
def test_a_pretrained_network_gets_a_head_of_our_outputs(model, place):
    found = with_head(model, 4)
    head = found.get_submodule(place)
    assert (head.out_features if isinstance(head, nn.Linear) else head.out_channels) == 4
    assert with_head(found, 4).get_submodule(place) is head


def test_a_network_without_a_head_is_refused():
    with pytest.raises(ModelError, match="has no last layer to replace"):
        with_head(nn.ReLU(), 4)


# Files


def test_weights_are_read_into_the_network_they_are_for(tmp_path):
    model = weights()
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    torch.save(model.state_dict(), tmp_path / "w.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    x = torch.rand(3, 6)
    for file in tmp_path.iterdir():
        network = build(f"file:{file}?network=mlp?hidden=5", VECTOR, 4)
        assert torch.equal(network(x), model(x))
        assert network.limbeck_spec == f"file:{file}?network=mlp?hidden=5"


def test_weights_of_an_adapted_network_are_those_inside(tmp_path):
    pytest.importorskip("torchvision", reason="needs the vision extra")
    inner = build("torchvision:squeezenet1_1", COLOUR, 3)
    save_file(inner.state_dict(), tmp_path / "w.safetensors")
    network = build(f"file:{tmp_path}/w.safetensors?network=torchvision:squeezenet1_1", GREY, 3)
    assert isinstance(network, Adapted)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(network.network.eval()(x), inner.eval()(x))


class Opened(collections.UserDict):
    """What a pickle runs when it is opened is up to the pickle."""

    def __reduce__(self):
        return (exec, ("raise AssertionError('code was run')",))


@pytest.mark.parametrize("suffix", ["pkl", "pt", "safetensors"])
def test_pickles_are_refused_and_not_run(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(pickle.dumps(Opened(), protocol=2))
    words = "no whole safetensors file" if suffix == "safetensors" else "can run code when it is"
    with pytest.raises(ModelError, match=words):
        build(f"file:{path}?network=mlp", VECTOR, 4)
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(ModelError, match=r"safetensors\.torch\.save_file"):
        read_weights(tmp_path / "whole.pt")


@pytest.mark.parametrize("tail", ["m.pkl", "m.joblib", "m.PICKLE?network=mlp"])
def test_files_named_as_pickles_are_refused_with_the_way_to_convert_them(tail):
    """Before anything else is said of them: there is no such file, and the name lacks options."""
    with pytest.raises(ModelError, match=rf"file:{tail[:4]}.* is a pickle.*skops\.io\.dump"):
        build(f"file:{tail}", VECTOR, 4)


@pytest.mark.parametrize(
    ("tail", "words"),
    [
        ("w.safetensors", r"say which network they are for: file:.*\?network=timm:resnet18"),
        ("w.safetensors?size=3&network=mlp", "file: has no option 'size'; Valid: network"),
        ("absent.safetensors?network=mlp", r"absent\.safetensors does not exist"),
        ("w.safetensors?network=mlp?hidden=9", "do not fit mlp.hidden=9: .*size mismatch"),
        ("cut.safetensors?network=mlp", "is no whole safetensors file"),
        ("number.pt?network=mlp", "holds a int, expected a state dictionary"),
        ("w.safetensors?network=mpl", r"no network 'mpl'; did you mean mlp\?"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, tail, words):
    save_file(weights().state_dict(), tmp_path / "w.safetensors")
    content = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[:-4])
    torch.save(3, tmp_path / "number.pt")
    with pytest.raises((ModelError, ArgumentError), match=f"(?s){words}"):
        build(f"file:{tmp_path}/{tail}", VECTOR, 4)


# Names


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("mlp?hidden=3", "mlp?hidden=3"),
        ("timm:resnet18?pretrained=true", "timm:resnet18?pretrained=true"),
        ("file:a/w.safetensors?network=mlp?hidden=3", "mlp?hidden=3"),
        ("hf:bert?hidden_size=8", "hf:bert?hidden_size=8"),
    ],
)
def test_what_a_product_keeps_of_a_name(name, kept):
    """A product brings its own weights: it must not need the file it once began with."""
    assert structure(name) == kept


def test_a_product_loads_without_the_file_it_began_with(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file(weights(outputs=2).state_dict(), path)
    network = build(f"file:{path}?network=mlp?hidden=5", VECTOR, 2)
    student = Student.of(network, from_arrays(torch.rand(40, 6), torch.arange(40) % 2))
    student.save(tmp_path / "product")
    path.unlink()
    x = torch.rand(3, 6)
    assert torch.equal(Student.load(tmp_path / "product").logits(x), student.logits(x))
    assert str(tmp_path) not in (tmp_path / "product" / "product.json").read_text()


def test_the_network_of_a_file_has_options_of_its_own(tmp_path):
    name = "cnn?width=4&stages=2"
    grey = InputSpace(size=(8, 8), channels=1)
    with torch_seeded(3):
        network = build(name, grey, 4)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    again = build(f"file:{tmp_path / 'w.safetensors'}?network={name}", grey, 4)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(again.eval()(x), network.eval()(x))


def test_weights_for_other_classes_keep_all_but_the_last_layer(tmp_path):
    with torch_seeded(3):
        network = build("mlp?hidden=5", VECTOR, 7)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    again = build(f"file:{tmp_path / 'w.safetensors'}?network=mlp?hidden=5", VECTOR, 4)
    assert weights_of(again) == "fresh head"
    assert torch.equal(again[1].weight, network[1].weight)
    assert again[-1].out_features == 4
