"""An exported cascade says the same without torch, and asks later stages as seldom."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import limbeck
from limbeck.bridges.onnx_cascade import OnnxCascade
from limbeck.data import digits
from limbeck.errors import ArgumentError, ModelError, RunError, UnusualUseWarning
from limbeck.networks.names import build
from limbeck.products import WindowCascade
from limbeck.products.stages import MemberStages
from limbeck.selection import ExitPolicy
from limbeck.teachers import column

from .cascades import Exits, blobs

WITHOUT_TORCH = """
import json, sys
sys.modules["torch"] = None
import numpy as np
from limbeck.bridges.onnx_cascade import OnnxCascade
cascade, x = OnnxCascade(sys.argv[1], threads=1), np.load(sys.argv[2])
said = cascade.run(x)
print(json.dumps({
    "reached": said.reached.tolist(),
    "predicted": cascade.predict(x).tolist(),
    "accepted": cascade.accept(x).tolist(),
    "probabilities": cascade.probabilities(x).tolist(),
}))
"""


@pytest.fixture(scope="module")
def images():
    return digits()


@pytest.fixture(scope="module")
def cascade(images):
    torch.manual_seed(0)
    members = [build("mlp?hidden=16", images.input_space, 10) for _ in range(3)]
    return WindowCascade.of(members, images, ExitPolicy(half_width=0.2)).calibrate(images)


@pytest.fixture(scope="module")
def exported(cascade, tmp_path_factory):
    """Made once: what a graph takes is seconds."""
    folder = tmp_path_factory.mktemp("exported") / "out"
    return folder, cascade.export(folder, to="onnx")


def pixels(images, count=200):
    return images.columns(images.test, np.arange(count))["x"]


def test_it_runs_without_torch(cascade, images, exported, tmp_path):
    folder, told = exported
    assert told["files"] == ["cascade.json", "manifest.json"] + [
        f"stage-{place}.onnx" for place in range(3)
    ]
    assert told["largest_difference"] < 1e-4
    x = pixels(images)
    np.save(tmp_path / "x.npy", x.numpy())
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder), str(tmp_path / "x.npy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert said["reached"] == cascade.reached(x).tolist()
    assert said["predicted"] == cascade.predict(x).tolist()
    assert said["accepted"] == cascade.accept(x).tolist()
    np.testing.assert_allclose(said["probabilities"], cascade.probabilities(x), atol=1e-5)


@pytest.mark.parametrize("score", ["msp", "entropy", "max_logit", "energy"])
@pytest.mark.parametrize("half_width", [0.0, 0.1, 1.0])
def test_scores_and_windows_are_those_of_the_cascade(
    cascade, images, exported, score, half_width, tmp_path
):
    """The graphs are written once: what differs stands in the file beside them."""
    folder = tmp_path / "out"
    shutil.copytree(exported[0], folder)
    other = WindowCascade(cascade.models, cascade.input_space, cascade.classes)
    other.calibrate(images, ExitPolicy(score=score, half_width=half_width))
    facts = json.loads((folder / "cascade.json").read_text())
    (folder / "cascade.json").write_text(json.dumps(facts | other.exits.to_facts()))
    x = pixels(images)
    said = OnnxCascade(folder, threads=1).run(x.numpy())
    assert said.reached.tolist() == other.reached(x).tolist()
    np.testing.assert_allclose(said.logits, other.logits(x), atol=1e-4)
    np.testing.assert_allclose(said.confidence, other.confidence(x), atol=1e-4)


def test_exits_go_on_from_what_was_left(tmp_path):
    data = blobs()
    cascade = WindowCascade.of(Exits(), data, ExitPolicy(half_width=0.2)).calibrate(data)
    cascade.export(tmp_path / "out", to="onnx")
    x = data.test.take(np.arange(150))["x"]
    said = OnnxCascade(tmp_path / "out", threads=1).run(x.numpy())
    assert said.reached.tolist() == cascade.reached(x).tolist()
    np.testing.assert_allclose(said.logits, cascade.logits(x), atol=1e-5)


def test_the_exact_weights_come_back(cascade, images, tmp_path):
    told = cascade.export(tmp_path / "out", to="safetensors")
    assert "member-2/network.safetensors" in told["files"]
    again = limbeck.load(tmp_path / "out")
    assert torch.equal(again.logits(pixels(images)), cascade.logits(pixels(images)))
    # The same export may be repeated; a folder of something else is left alone.
    cascade.export(tmp_path / "out", to="safetensors")
    with pytest.raises(RunError, match="another format"):
        cascade.export(tmp_path / "out", to="onnx")


def test_what_has_no_graph_is_told_of(cascade, tmp_path):
    with pytest.raises(ArgumentError, match="no format 'pickle' for a cascade"):
        cascade.export(tmp_path / "out", to="pickle")
    data = blobs()
    with pytest.warns(UnusualUseWarning):
        whole = WindowCascade.of(Exits(lazy=False), data)
    whole.calibrate(data)
    with pytest.raises(ModelError, match="exits at once"):
        whole.export(tmp_path / "out", to="onnx")
    members = [*cascade.models.members[:2], column("logits")]
    mixed = WindowCascade(
        MemberStages(members), cascade.input_space, cascade.classes, exits=cascade.exits
    )
    with pytest.raises(ModelError, match="stage 2, column"):
        mixed.export(tmp_path / "out", to="onnx")
    assert not (tmp_path / "out").exists()


def test_bad_inputs_are_refused_without_torch_too(exported, tmp_path):
    with pytest.raises(RunError, match=r"holds no cascade\.json"):
        OnnxCascade(tmp_path)
    there = OnnxCascade(exported[0], threads=1)
    with pytest.raises(ArgumentError, match=r"expected \(N, 1, 8, 8\)"):
        there.run(np.zeros((2, 8)))
    with pytest.raises(ArgumentError, match="NaN or infinite"):
        there.run(np.full((2, 1, 8, 8), np.nan))
    assert there.run(np.zeros((0, 1, 8, 8))).logits.shape == (0, 10)


def test_bytes_stand_for_shares_of_255(cascade, images, exported):
    read = OnnxCascade(exported[0], threads=1)
    whole = (pixels(images) * 255).round().to(torch.uint8)
    np.testing.assert_allclose(read.run(whole.numpy()).logits, cascade.logits(whole), atol=1e-4)


def test_exits_of_a_network_with_a_space_of_its_own_are_exported_with_it(tmp_path):
    from limbeck.data import InputSpace
    from limbeck.products.members import NetworkMember

    images = digits()
    torch.manual_seed(0)
    network = Exits()
    network.parts[0].body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 8))
    for part in network.parts:
        part.head = torch.nn.Linear(8, 10)
    own = InputSpace(size=(8, 8), channels=1, mean=(0.3,), std=(0.2,))
    member = NetworkMember(network, own)
    cascade = WindowCascade.of(member, images, ExitPolicy(half_width=0.2)).calibrate(images)
    cascade.export(tmp_path / "out", to="onnx")
    x = pixels(images)
    said = OnnxCascade(tmp_path / "out", threads=1).run(x.numpy())
    np.testing.assert_allclose(said.logits, cascade.logits(x), atol=1e-4)
