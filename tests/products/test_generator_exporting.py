"""What other programs read of a generator makes what the generator makes."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tests.products.generators import made, unet
from tests.products.students import shown_lines

from limbeck import keyed, load
from limbeck.errors import ArgumentError, ModelError, RunError
from limbeck.networks.diffusers_schedules import told_by
from limbeck.products.generator_exporting import describe
from limbeck.products.model_card import Origin
from limbeck.samplers import unit_noise
from limbeck.samplers.few_step import walk

ROW = {
    "name": "few",
    "role": "product",
    "quality": {"frechet": 1.5, "recall": 0.5},
    "cost": {"evaluations": 4, "parameters": 10, "macs": 12},
}
SCHEDULES = {
    "flow": {},
    "shifted": {"shift": 3},
    "clean": {"prediction": "x0"},
    "noise": {"schedule": "vp"},
    "velocity": {"schedule": "vp", "prediction": "v"},
    "sample": {"schedule": "vp", "prediction": "x0"},
    "edm": {"schedule": "edm"},
}
PIPELINES = {
    "unconditional": lambda: unet(classes=("all",), levels=(1.0, 0.5)),
    "conditional": unet,
    "guided": lambda: unet(guidance=2.5),
    "implied noise": lambda: unet(kind="ode", spec={"schedule": "vp"}),
    "two experts": lambda: unet(experts=2),
    "edm": lambda: unet(spec={"schedule": "edm"}),
}
PLAIN = """
import sys
from pathlib import Path

sys.modules["limbeck"] = None
import torch
from diffusers import DiffusionPipeline

for folder in Path().glob("*/asked.pt"):
    pipe = DiffusionPipeline.from_pretrained(folder.parent / "out", trust_remote_code=True)
    torch.save(pipe(**torch.load(folder)).images, folder.parent / "images.pt")
"""


def noise_of(generator, count):
    """The noise that `Generator.sample` begins with, and that of each step."""
    key = keyed.key("generator", 0)
    keys = [keyed.key(key, "step", step) for step in range(len(generator.sampler.levels) - 1)]
    shape = generator.network.shape
    return [unit_noise(one, range(count), shape) for one in (keyed.key(key, "noise"), *keys)]


def test_pipelines_make_what_generators_make_where_limbeck_is_absent(tmp_path):
    made = {name: make() for name, make in PIPELINES.items()}
    classes = {name: [2, 0, 1, 1, 0, 2] if one.conditional else None for name, one in made.items()}
    for name, one in made.items():
        told = one.export(tmp_path / name / "out", to="diffusers")
        assert told["largest_difference"] < 1e-5
        asked = {"class_labels": classes[name], "noise": noise_of(one, 6), "output_type": "pt"}
        torch.save({"batch_size": 6, **asked}, tmp_path / name / "asked.pt")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PLAIN], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name, one in made.items():
        found = torch.load(tmp_path / name / "images.pt")
        expected = one.sample(classes[name] or 6)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["sde", "ode"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule_and_prediction_has_its_steps(name, kind, tmp_path):
    one = unet(spec=SCHEDULES[name], kind=kind, levels=(1.0, 0.6, 1 / 3))
    assert one.export(tmp_path / "out", to="diffusers")["largest_difference"] < 1e-5


def test_the_pipeline_draws_noise_and_lets_classes_go_round(pipe):
    seeded = torch.Generator().manual_seed
    first = pipe(4, generator=seeded(0), output_type="pt").images
    assert first.shape == (4, 1, 8, 8)
    asked = pipe(class_labels=[0, 1, 2, 0], generator=seeded(0), output_type="pt").images
    assert torch.equal(asked, first)
    assert not torch.equal(pipe(4, generator=seeded(1), output_type="pt").images, first)
    assert not torch.equal(
        pipe(4, class_labels=1, generator=seeded(0), output_type="pt").images, first
    )
    guided = pipe(4, generator=seeded(0), guidance_scale=3.0, output_type="pt").images
    assert not torch.equal(guided, first)
    (arrays,) = pipe(4, generator=seeded(0), output_type="np", return_dict=False)
    assert arrays.shape == (4, 8, 8, 1)
    assert pipe(generator=seeded(0)).images[0].size == (8, 8)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"class_labels": [3]}, "expected numbers from 0 to 2"),
        ({"class_labels": [0, 1], "batch_size": 3}, "3 and there are 2 class_labels"),
        ({"output_type": "latent"}, "output_type is 'latent'"),
    ],
)
def test_what_the_pipeline_cannot_make_is_said(pipe, asked, said):
    with pytest.raises(ValueError, match=said):
        pipe(**asked)


def test_a_pipeline_without_classes_takes_none(tmp_path):
    PIPELINES["unconditional"]().export(tmp_path, to="diffusers")
    with pytest.raises(ValueError, match="networks take none"):
        loaded(tmp_path)(class_labels=0)


def loaded(folder):
    diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed")
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, trust_remote_code=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(name="pipe")
def _pipe(tmp_path):
    unet(levels=(1.0, 0.5)).export(tmp_path, to="diffusers")
    return loaded(tmp_path)


def test_the_scheduler_says_what_the_generator_knows(tmp_path):
    one = unet(spec=SCHEDULES["velocity"])
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


def test_a_folder_of_several_networks_is_no_teacher_by_name(tmp_path):
    from limbeck.networks.names import build

    one = unet(experts=2)
    one.export(tmp_path, to="diffusers")
    with pytest.raises(ModelError, match="2 networks"):
        build(f"hf:{tmp_path}", one.space, 3)


def test_the_card_tells_the_guidance_that_was_learned(tmp_path):
    unet(learned=2.0).export(tmp_path / "guided", to="diffusers")
    assert "guidance 2 against class 3" in (tmp_path / "guided" / "README.md").read_text()
    facts = json.loads((tmp_path / "guided" / "generator.json").read_text())
    assert facts["learned"] == {"guidance": 2.0, "null_condition": 3}
    unet(learned=1.0).export(tmp_path / "plain", to="diffusers")
    assert "guidance" not in (tmp_path / "plain" / "README.md").read_text()


def test_the_card_runs_and_shows_the_figures(tmp_path, monkeypatch):
    origin = Origin(rows=[ROW], data="digits", method="m", title="A method", paper="arXiv 1")
    unet().export(tmp_path, to="diffusers", origin=origin)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(shown_lines(tmp_path), names)
    assert [one.size for one in names["images"]] == [(8, 8)] * 3
    card = (tmp_path / "README.md").read_text()
    assert "| few | 1.500 | 50.0 | 4 | 10 | 12 |" in card
    assert "A method (arXiv 1) on `digits`" in card
    assert "Classes in order: a, b, c/d." in card
    assert str(tmp_path) not in card + (tmp_path / "model_index.json").read_text()


@pytest.mark.parametrize(
    ("generator", "said"),
    [
        (lambda: made("images"), "no model of diffusers"),
        (lambda: unet(experts=5), "5 networks, and a pipeline at most 4"),
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
