"""Members are written each into its own folder and come back, whatever their kind."""

import dataclasses

import pytest
import torch
from torch import nn

from limbeck import files
from limbeck.cache import cached
from limbeck.data import Batch, InputSpace
from limbeck.errors import ArgumentError, ModelError, RunError
from limbeck.networks.names import build
from limbeck.outputs import Outputs
from limbeck.products import Student
from limbeck.products.members import (
    READERS,
    Shared,
    member,
    members_of,
    read_members,
    write_members,
)
from limbeck.teachers import column, ensemble, teacher

SPACE = InputSpace(size=(8, 8), channels=1, mean=(0.5,), std=(0.25,))
OTHER = InputSpace(size=(4, 4), channels=3, mean=(0.1,) * 3, std=(2.0,) * 3)


def batch(count=5):
    generator = torch.Generator().manual_seed(0)
    return Batch({"x": torch.randn(count, 1, 8, 8, generator=generator)}, space=SPACE)


def own(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def written(members, folder):
    with files.new_folder(folder) as part:
        return write_members(members, part)


def test_named_networks_come_back_with_the_space_they_read(tmp_path):
    torch.manual_seed(0)
    native = teacher(build("cnn?width=2&stages=1", OTHER, 3), input_space=OTHER)
    given = members_of([build("mlp?hidden=4", SPACE, 3), native])
    facts = written(given, tmp_path / "product")
    files.check_folder(tmp_path / "product")
    again = read_members(tmp_path / "product", facts, Shared(SPACE, 3))
    assert [one.name for one in again] == ["mlp?hidden=4", "cnn?width=2&stages=1"]
    assert again[1].input_space == OTHER
    for before, after in zip(given, again, strict=True):
        assert torch.equal(before(batch()).logits, after(batch()).logits)
        assert before.fingerprint == after.fingerprint


def test_networks_of_the_users_own_are_filled_in_order(tmp_path):
    given = members_of([own(1), build("mlp?hidden=4", SPACE, 3), own(2)])
    facts = written(given, tmp_path / "product")
    with pytest.raises(ModelError, match=r"network=\[\.\.\.\]"):
        read_members(tmp_path / "product", facts, Shared(SPACE, 3))
    again = read_members(tmp_path / "product", facts, Shared(SPACE, 3, iter([own(8), own(9)])))
    for before, after in zip(given, again, strict=True):
        assert torch.equal(before(batch()).logits, after(batch()).logits)
    three = Shared(SPACE, 3, iter([own(), own(), own()]))
    with pytest.raises(ModelError, match="more networks came"):
        read_members(tmp_path / "product", facts, three)


class Constant:
    """A member of a kind that limbeck does not ship."""

    kind = "constant"

    def __init__(self, number):
        self.number, self.name, self.modules = number, "constant", ()
        self.fingerprint = f"constant {number}"

    def __call__(self, batch):
        return Outputs(logits=torch.full((batch.size, 3), self.number))

    def write(self, part):
        files.write_text(part / "number.txt", str(self.number))
        return {}

    @classmethod
    def read(cls, folder, facts, shared):
        return cls(float((folder / "number.txt").read_text()))


def test_another_kind_writes_itself_and_brings_its_reader(tmp_path):
    facts = written(members_of([own(), Constant(2.0)]), tmp_path / "product")
    with pytest.raises(RunError, match="'constant', which this version"):
        read_members(tmp_path / "product", facts, Shared(SPACE, 3, iter([own()])))
    readers = {**READERS, "constant": Constant.read}
    again = read_members(tmp_path / "product", facts, Shared(SPACE, 3, iter([own()])), readers)
    assert again[1](batch()).logits.unique().item() == 2.0


def test_what_users_hold_becomes_members(tmp_path):
    network = own()
    student = Student(network, SPACE, "classification", ("a", "b", "c"))
    kept = cached(teacher(network), tmp_path)
    for given in (network, student, teacher(network), kept):
        (made,) = members_of(given)
        assert made.network is network
    both = members_of(ensemble(teacher(own(1)), teacher(own(2))))
    assert len(both) == 2
    assert member(student).input_space == SPACE


def test_what_is_no_member_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="a member is a str"):
        members_of(["mlp?hidden=8"])
    with pytest.raises(ArgumentError, match="no members"):
        members_of([])
    with pytest.raises(ArgumentError, match="weights or a route"):
        members_of(ensemble(teacher(own(1)), teacher(own(2)), weights=[1, 2]))
    with pytest.raises(ModelError, match="cannot be saved"):
        written(members_of([column("logits")]), tmp_path / "product")
    assert not (tmp_path / "product").exists()


def test_weights_that_do_not_fit_are_refused(tmp_path):
    facts = written(members_of([own()]), tmp_path / "product")
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    with pytest.raises(ModelError, match="do not fit"):
        read_members(tmp_path / "product", facts, Shared(SPACE, 3, iter([wrong])))


def test_no_name_holds_a_place():
    named = dataclasses.replace(SPACE)
    network = build("mlp?hidden=4", named, 3)
    made = member(teacher(network, name="file:/somewhere/w.safetensors?network=mlp?hidden=4"))
    assert "somewhere" not in made.name
