"""A student survives saving and loading, and damage is found."""

import numpy as np
import pytest
import torch

from limbeck.data import digits
from limbeck.errors import ArgumentError, CorruptFileError, ModelError
from limbeck.networks.names import build
from limbeck.products import Student


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture
def student(data):
    return Student.of(build("mlp?hidden=8", data.input_space, data.outputs), data)


def test_round_trip_keeps_every_prediction(student, data, tmp_path):
    student.save(tmp_path / "product")
    x = data.columns(data.test, np.arange(20))["x"]
    again = Student.load(tmp_path / "product")
    assert torch.equal(student.logits(x), again.logits(x))
    assert student.evaluate(data) == again.evaluate(data)


def test_an_altered_byte_is_found(student, tmp_path):
    student.save(tmp_path / "product")
    path = tmp_path / "product" / "network.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match="altered"):
        Student.load(tmp_path / "product")


def test_a_network_of_the_users_own_must_be_given(data, tmp_path):
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    Student.of(network, data).save(tmp_path / "product")
    with pytest.raises(ModelError, match="network="):
        Student.load(tmp_path / "product")
    empty = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    again = Student.load(tmp_path / "product", network=empty)
    assert torch.equal(again.network[1].weight, network[1].weight)


def test_inputs_of_another_shape_or_nan_are_refused(student):
    with pytest.raises(ArgumentError, match=r"expected \(N, 1, 8, 8\)"):
        student.predict(np.zeros((2, 1, 9, 9)))
    with pytest.raises(ArgumentError, match="NaN"):
        student.predict(np.full((2, 1, 8, 8), np.nan))
