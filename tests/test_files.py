"""Files are whole or absent, and every damage is found."""

import errno
import json
import os
import stat

import pytest
import torch

from limbeck import files
from limbeck.errors import CorruptFileError, LimbeckError, RunError

TENSORS = {
    "weight": torch.arange(6.0).reshape(2, 3),
    "count": torch.tensor(3),
    "empty": torch.zeros(0, 2),
    "half": torch.ones(3, dtype=torch.bfloat16),
}


def failing(number):
    """A system call that fails as the kernel would report it."""

    def call(*_args, **_options):
        raise OSError(number, os.strerror(number))

    return call


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# One file


def test_plain_values_come_back_and_every_damage_is_found(tmp_path):
    path, value = tmp_path / "table.json", [{"name": "kd", "accuracy": 0.91}]
    files.write_json(path, value)
    assert files.read_json(path) == files.stored_json(path) == value
    assert json.loads(path.read_text()) == value
    whole = path.read_text()
    for damaged in ("", whole[:-4], whole.replace("0.91", "0.97"), "\xff"):
        path.write_text(damaged)
        with pytest.raises(CorruptFileError, match="table.json is damaged"):
            files.read_json(path)
        assert files.stored_json(path) is None
    path.unlink()
    with pytest.raises(RunError, match="does not exist"):
        files.read_json(path)
    files.write_json(path, value)
    assert files.read_json(path) == value


def test_plain_values_written_without_a_checksum_are_read(tmp_path):
    (tmp_path / "table.json").write_text("[1, 2]")
    assert files.read_json(tmp_path / "table.json") == [1, 2]


def test_a_file_is_written_with_its_folders(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    files.write_text(path, "büchse\n")
    assert path.read_bytes() == "büchse\n".encode()
    files.write_bytes(path, b"new")
    assert content(tmp_path) == {"a/b/file.txt": b"new"}


def test_files_and_folders_have_the_usual_permissions(tmp_path):
    (tmp_path / "usual").touch()
    (tmp_path / "folder").mkdir()
    files.write_text(tmp_path / "ours", "text")
    with files.new_folder(tmp_path / "new") as part:
        (part / "one").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["ours"] == modes["usual"]
    assert modes["new"] == modes["folder"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_content_and_says_so(tmp_path, monkeypatch, call, number):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")
    monkeypatch.setattr(os, call, failing(number))
    with pytest.raises(RunError, match=r"disk is full: .*file\.txt was not written.*free space"):
        files.write_text(path, "new")
    assert content(tmp_path) == {"file.txt": b"old"}


def test_any_interruption_leaves_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def interrupted(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write_text(path, "new")
    assert content(tmp_path) == {"file.txt": b"old"}


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
@pytest.mark.parametrize("write", [files.write_text, files.append_text])
def test_a_folder_that_cannot_be_written_says_so(tmp_path, monkeypatch, number, write):
    monkeypatch.setattr(type(tmp_path), "open", failing(number))
    monkeypatch.setattr(os, "open", failing(number))
    monkeypatch.setattr("builtins.open", failing(number))
    with pytest.raises(RunError, match=r"file\.txt cannot be written \(.*\); choose another"):
        write(tmp_path / "file.txt", "new")


def test_a_place_below_a_file_says_so(tmp_path):
    (tmp_path / "taken").write_text("a file")
    for path in (tmp_path / "taken" / "file.txt", tmp_path / "taken" / "deep" / "file.txt"):
        with pytest.raises(RunError, match=r"cannot be written \(.*\); choose another folder"):
            files.write_text(path, "new")
    assert content(tmp_path) == {"taken": b"a file"}


def test_lines_are_appended(tmp_path):
    path = tmp_path / "deep" / "log.txt"
    files.append_text(path, "one\n")
    files.append_text(path, "two\n")
    assert path.read_text() == "one\ntwo\n"


# Tensors


def test_tensors_and_facts_come_back(tmp_path):
    path = tmp_path / "w.safetensors"
    files.save_tensors(path, TENSORS, {"stage": "teacher", "note": 'quotes " and \n lines'})
    found, facts = files.load_tensors(path)
    assert facts == {"stage": "teacher", "note": 'quotes " and \n lines'}
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert torch.equal(found[name], tensor)


def test_other_libraries_read_the_file(tmp_path):
    from safetensors.torch import load_file

    files.save_tensors(tmp_path / "w.safetensors", TENSORS, {})
    assert torch.equal(load_file(tmp_path / "w.safetensors")["weight"], TENSORS["weight"])


def test_equal_content_is_equal_bytes(tmp_path):
    for name, facts in (("a", {"x": "1", "y": "2"}), ("b", {"y": "2", "x": "1"})):
        order = TENSORS if name == "a" else dict(reversed(TENSORS.items()))
        files.save_tensors(tmp_path / name, order, facts)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tensors_that_share_memory_are_written_each(tmp_path):
    base = torch.arange(6.0)
    shared = {
        "whole": base,
        "again": base,
        "first": base[:3],
        "last": base[2:],
        "every": base[::2],
        "turned": base.reshape(2, 3).T,
        "grad": base.clone().requires_grad_(),
    }
    files.save_tensors(tmp_path / "w.safetensors", shared, {})
    found, _ = files.load_tensors(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in shared.items())


def test_every_altered_byte_is_detected(tmp_path):
    path = tmp_path / "w.safetensors"
    files.save_tensors(path, {"a": torch.arange(3.0), "b": torch.tensor([7])}, {"stage": "x"})
    whole = path.read_bytes()
    missed = []
    for place in range(len(whole)):
        for mask in (0x01, 0x20, 0x80, 0xFF):
            altered = bytearray(whole)
            altered[place] ^= mask
            path.write_bytes(altered)
            try:
                files.load_tensors(path)
            except CorruptFileError:
                continue
            missed.append((place, mask))
    assert not missed


def test_every_cut_is_detected(tmp_path):
    path = tmp_path / "w.safetensors"
    files.save_tensors(path, TENSORS, {})
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError, match="delete it to have it rebuilt"):
            files.load_tensors(path)


def test_an_absent_file_is_no_damaged_one(tmp_path):
    with pytest.raises(RunError, match="does not exist") as found:
        files.load_tensors(tmp_path / "absent.safetensors")
    assert not isinstance(found.value, CorruptFileError)


# Folders


def fill(path, **texts):
    with files.new_folder(path) as part:
        for name, text in texts.items():
            (part / name).parent.mkdir(exist_ok=True)
            (part / name).write_text(text)


def test_a_new_folder_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "product"
    fill(path, a="1", b="2")
    fill(path, b="3")
    files.check_folder(path)
    assert set(content(path)) == {"b", files.MANIFEST}
    assert [one.name for one in tmp_path.iterdir()] == ["product"]


def test_a_folder_is_not_seen_before_it_is_whole(tmp_path):
    with files.new_folder(tmp_path / "product") as part:
        (part / "a").write_text("1")
        assert not (tmp_path / "product").exists()
    assert (tmp_path / "product" / "a").read_text() == "1"


@pytest.mark.parametrize("error", [KeyboardInterrupt, LimbeckError, ZeroDivisionError])
def test_an_error_inside_leaves_the_old_folder(tmp_path, error):
    path = tmp_path / "product"
    fill(path, a="1")
    before = content(tmp_path)

    def fail():
        with files.new_folder(path) as part:
            (part / "a").write_text("2")
            raise error

    with pytest.raises(error):
        fail()
    assert content(tmp_path) == before
    files.check_folder(path)


@pytest.mark.parametrize("failure", [0, 1, 2])
def test_a_full_disk_leaves_the_old_folder(tmp_path, monkeypatch, failure):
    """Also where the last of the renames fails: the old folder goes back to its place."""
    path = tmp_path / "product"
    fill(path, a="1")
    before = content(tmp_path)
    rename, calls = os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) == failure + 1:
            failing(errno.ENOSPC)()
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(RunError, match="disk is full"):
        fill(path, a="2")
    assert content(tmp_path) == before
    assert [one.name for one in tmp_path.iterdir()] == ["product"]


def test_tensors_are_readable_as_other_files_and_a_kill_leaves_only_what_is_swept(
    tmp_path, monkeypatch
):
    """The writer's own temporary file is private and has a name that nobody knows."""
    files.save_tensors(tmp_path / "a.safetensors", TENSORS, {})
    files.write_text(tmp_path / "a.txt", "1")
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1
    before = content(tmp_path)

    def killed(_tensors, path, metadata):
        path.with_name(".tmpRZdQZq").write_text(str(metadata))
        left.extend(name for name in os.listdir(tmp_path) if name not in before)
        raise KeyboardInterrupt

    left: list[str] = []
    monkeypatch.setattr("safetensors.torch.save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        files.save_tensors(tmp_path / "a.safetensors", TENSORS, {})
    assert left
    assert all(name.startswith(".") and name.endswith(".part") for name in left)
    assert content(tmp_path) == before


def test_what_a_writer_in_another_language_says_is_understood(tmp_path):
    """safetensors and tokenizers write themselves, and tell the system's number in words."""
    for number, said in ((errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot be written")):
        told = f"I/O error: {os.strerror(number)} (os error {number})"
        with pytest.raises(RunError, match=said), files.new_folder(tmp_path / "new"):
            raise Exception(told)
    with pytest.raises(ValueError, match="mine"), files.new_folder(tmp_path / "new"):
        raise ValueError("mine")
    assert not list(tmp_path.iterdir())


def altered(path):
    path.write_bytes(path.read_bytes()[:-1] + b"!")


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: altered(folder / "a"),
        lambda folder: (folder / "a").unlink(),
        lambda folder: (folder / "a").write_bytes(b""),
        lambda folder: (folder / "c").write_text("not of the same run"),
        lambda folder: (folder / files.MANIFEST).unlink(),
        lambda folder: (folder / files.MANIFEST).write_text("{"),
        lambda folder: (folder / files.MANIFEST).write_text("[]"),
        lambda folder: (folder / files.MANIFEST).write_text("{}"),
    ],
)
def test_a_damaged_folder_is_found(tmp_path, damage):
    fill(tmp_path / "product", a="1", b="2")
    files.check_folder(tmp_path / "product")
    damage(tmp_path / "product")
    with pytest.raises(CorruptFileError):
        files.check_folder(tmp_path / "product")


def test_folders_may_hold_folders(tmp_path):
    fill(tmp_path / "product", **{"inner/a": "1", "b": "2"})
    files.check_folder(tmp_path / "product")
    altered(tmp_path / "product" / "inner" / "a")
    with pytest.raises(CorruptFileError, match="inner/a"):
        files.check_folder(tmp_path / "product")
