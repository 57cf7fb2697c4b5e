"""What other programs read of a generator makes what the generator makes."""

import json

import pytest
import torch
from tests.products.generators import SPECS, made, network, unet
from tests.products.students import shown_lines

from limbeck import keyed, load
from limbeck.errors import ArgumentError, ModelError, RunError
from limbeck.networks.diffusers_schedules import told_by
from limbeck.products import Generator
from limbeck.products.generator_exporting import describe
from limbeck.products.model_card import Origin
from limbeck.samplers import steps, unit_noise
from limbeck.samplers.few_step import walk

ROW = {
    "name": "few",
    "role": "product",
    "quality": {"frechet": 1.5, "recall": 0.5},
    "cost": {"evaluations": 4, "parameters": 10, "macs": 12},
}
PIPELINES = {
    "flow": {},
    "shifted": {"shift": 3},
    "noise": {"schedule": "vp"},
    "velocity": {"schedule": "vp", "prediction": "v"},
    "sample": {"schedule": "vp", "prediction": "x0"},
}


@pytest.mark.parametrize("kind", ["sde", "ode"])
@pytest.mark.parametrize("name", PIPELINES)
def test_plain_diffusers_makes_the_same_images(name, kind, tmp_path):
    one = unet(spec=PIPELINES[name], kind=kind, levels=(1.0, 0.6, 0.3))
    told = one.export(tmp_path / "out", to="diffusers")
    assert told["largest_difference"] < 1e-4
    diffusers = pytest.importorskip("diffusers")
    pipe = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "out")
    facts = json.loads((tmp_path / "out" / "generator.json").read_text())
    noises = [unit_noise(keyed.key("test", n), range(4), (1, 8, 8)) for n in range(3)]
    labels, drawn = torch.arange(4) % 3, iter(noises)
    names = _of_the_card(tmp_path / "out")
    found = names["make_samples"](pipe, facts, noises[2], labels, lambda like: next(drawn))
    expected = walk(one.network, noises[2], labels, one.sampler, lambda step: noises[step])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_a_network_without_classes_is_asked_for_none(tmp_path):
    spec, space, _ = SPECS["unet"]
    one = Generator(network(spec, space, ("all",)), steps(2), space, ("all",))
    assert one.export(tmp_path, to="diffusers")["largest_difference"] < 1e-4
    assert json.loads((tmp_path / "generator.json").read_text())["labels"] == []
    assert "labels" not in shown_lines(tmp_path).partition("\npipe = ")[2]


def _of_the_card(folder):
    """The names of the card's lines, without those that use them."""
    names = {}
    exec(shown_lines(folder).partition("\npipe = ")[0], names)
    return names


def test_the_scheduler_says_what_the_generator_knows(tmp_path):
    one = unet(spec=PIPELINES["velocity"])
    one.export(tmp_path, to="diffusers")
    config = json.loads((tmp_path / "scheduler" / "scheduler_config.json").read_text())
    told = told_by(config, "exported")
    assert (told.schedule, told.prediction) == (
        type(told.schedule)("vp", units="steps"),
        "v",
    )
    assert not config["clip_sample"]


def test_the_folder_is_a_teacher_by_name(tmp_path):
    from limbeck.networks.names import build

    one = unet()
    one.export(tmp_path, to="diffusers")
    teacher = build(f"hf:{tmp_path}", one.space, 3).eval()
    x, labels = unit_noise(0, range(2), (1, 8, 8)), torch.tensor([0, 2])
    torch.testing.assert_close(teacher.predict(x, 0.5, labels), one.network.predict(x, 0.5, labels))


def test_the_card_runs_and_shows_the_figures(tmp_path, monkeypatch):
    origin = Origin(rows=[ROW], data="digits", method="m", title="A method", paper="arXiv 1")
    unet().export(tmp_path, to="diffusers", origin=origin)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(shown_lines(tmp_path), names)
    assert names["images"].shape == (8, 1, 8, 8)
    card = (tmp_path / "README.md").read_text()
    assert "| few | 1.500 | 50.0 | 4 | 10 | 12 |" in card
    assert "A method (arXiv 1) on `digits`" in card
    assert "Classes in order: a, b, c/d." in card
    assert str(tmp_path) not in card + (tmp_path / "model_index.json").read_text()


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (lambda: made("images"), "no model of diffusers"),
        (lambda: made("routed"), "2 networks"),
        (lambda: unet(guidance=2.0), "guidance 2"),
        (lambda: unet(spec={"prediction": "x0"}), "no scheduler"),
        (lambda: unet(spec={"schedule": "vp"}, levels=(1.0, 1 / 3)), "lies between"),
    ],
)
def test_what_diffusers_cannot_say_is_told(generator, said, tmp_path):
    with pytest.raises(ModelError, match=said):
        generator().export(tmp_path / "out", to="diffusers")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["points", "one class", "edm", "unet", "routed"])
def test_onnx_says_what_the_network_says(name, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    one = made(name)
    told = one.export(tmp_path / "out", to="onnx")
    assert told["largest_difference"] < 1e-4
    facts = json.loads((tmp_path / "out" / "generator.json").read_text())
    # More samples than the graph was made with, at every level.
    noise = unit_noise(1, range(70), one.network.shape)
    for level in facts["levels"]:
        file = tmp_path / "out" / f"expert-{level['expert']}.onnx"
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        given = {"sample": noise.numpy(), "time": torch.full((70,), level["time"]).numpy()}
        labels = torch.arange(70) % len(one.classes) if one.conditional else None
        given |= {} if labels is None else {"condition": labels.numpy()}
        said = torch.from_numpy(session.run(None, given)[0])
        expected = one.network.predict(noise, level["level"], labels, as_=None)
        torch.testing.assert_close(said, expected, rtol=1e-4, atol=1e-4)


def test_the_sidecar_is_enough_to_sample_by(tmp_path):
    """Two lines of arithmetic over what the network says, as the file words them."""
    one = made("points", kind="ode")
    facts = describe(one)
    levels = facts["levels"]
    x = levels[0]["sigma"] * unit_noise(2, range(5), (2,))
    labels = torch.arange(5) % 2
    expected = walk(one.network, unit_noise(2, range(5), (2,)), labels, one.sampler, lambda _: x)
    for place, level in enumerate(levels):
        u = one.network(x, level["level"], labels)
        known = {"x": x, "u": u, "alpha": level["alpha"], "sigma": level["sigma"]}
        x0 = eval(facts["clean"].partition(" = ")[2], known)
        if place + 1 < len(levels):
            noise = (x - level["alpha"] * x0) / level["sigma"]
            x = levels[place + 1]["alpha"] * x0 + levels[place + 1]["sigma"] * noise
    torch.testing.assert_close(x0, expected, rtol=1e-4, atol=1e-5)


def test_safetensors_are_loaded_again(tmp_path):
    one = made("routed")
    told = one.export(tmp_path / "out", to="safetensors")
    assert "generator.json" in told["files"]
    assert torch.equal(load(tmp_path / "out").sample(3), one.sample(3))


def test_an_export_takes_the_place_of_its_own_kind_alone(tmp_path):
    made().export(tmp_path / "out", to="safetensors")
    made().export(tmp_path / "out", to="safetensors")
    with pytest.raises(RunError, match="another generator"):
        made(kind="ode").export(tmp_path / "out", to="safetensors")
    with pytest.raises(ArgumentError, match="no format 'hf' for a generator"):
        made().export(tmp_path / "other", to="hf")
