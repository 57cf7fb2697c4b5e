"""Shards: whole or absent, the same whoever filled them, maps of files when they are read."""

import errno
import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
import torch

from limbeck.errors import RunError
from limbeck.labels import Shards, shards

COUNT = 1000


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of 256 rows, so that a table has four."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 256 * 8)


def squares(places):
    return {"square": torch.from_numpy(places.astype(np.int64) ** 2)}


def table(folder):
    return Shards(folder, COUNT, row_bytes=8)


def filled(folder):
    made = table(folder)
    made.fill(squares)
    return made


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.safetensors"))}


def test_rows_come_back_in_the_order_they_are_asked_for(tmp_path):
    places = np.random.default_rng(0).permutation(COUNT)[:300]
    assert filled(tmp_path).take(places)["square"].tolist() == (places**2).tolist()


def test_a_table_has_a_few_files_however_many_rows(tmp_path):
    made = filled(tmp_path)
    assert len(content(tmp_path)) == 4 == len(made.paths)
    assert made.bytes == sum(map(len, content(tmp_path).values()))


def test_a_whole_table_is_not_made_again(tmp_path):
    filled(tmp_path)
    again = table(tmp_path)
    again.fill(lambda places: pytest.fail("made again"))
    assert again.take(np.array([999]))["square"].tolist() == [999**2]


@pytest.mark.parametrize("damage", ["flip", "cut", "gone"])
def test_a_damaged_shard_is_made_anew_and_alone(tmp_path, damage):
    filled(tmp_path)
    before = content(tmp_path)
    path = sorted(tmp_path.glob("*.safetensors"))[1]
    whole = path.read_bytes()
    if damage == "flip":
        path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    elif damage == "cut":
        path.write_bytes(whole[:-100])
    else:
        path.unlink()
    asked = []

    def make(places):
        asked.extend(places.tolist())
        return squares(places)

    table(tmp_path).fill(make)
    assert asked == [*range(256, 512)]
    assert content(tmp_path) == before


def slowly(places):
    time.sleep(0.05)
    return squares(places)


def fill_slowly(folder, made):
    shards.SHARD_BYTES = 256 * 8

    def make(places):
        made.append(int(places[0]))
        return slowly(places)

    table(folder).fill(make)


def test_processes_that_fill_at_once_share_the_work(tmp_path):
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        made = manager.list()
        several = [context.Process(target=fill_slowly, args=(tmp_path, made)) for _ in range(3)]
        for one in several:
            one.start()
        for one in several:
            one.join()
        assert [one.exitcode for one in several] == [0, 0, 0]
        assert sorted(made) == [0, 256, 512, 768]
    assert content(tmp_path) == content_of_one(tmp_path / "alone")


def content_of_one(folder):
    filled(folder)
    return content(folder)


def test_a_killed_filler_leaves_its_shard_to_others(tmp_path):
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager:
        made = manager.list()
        one = context.Process(target=fill_slowly, args=(tmp_path, made))
        one.start()
        while len(made) < 2:
            time.sleep(0.005)
        os.kill(one.pid, signal.SIGKILL)
        one.join()
        assert one.exitcode == -signal.SIGKILL
    filled(tmp_path)
    assert content(tmp_path) == content_of_one(tmp_path / "alone")


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file"):
        filled(tmp_path / "file" / "inside")


def test_a_full_disk_leaves_what_is_whole(tmp_path, monkeypatch):
    written = []

    def full(handle):
        written.append(handle)
        if len(written) > 3:
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match="the disk is full"):
        filled(tmp_path)
    before = content(tmp_path)
    assert 0 < len(before) < 4
    assert not list(tmp_path.glob(".*.part"))
    monkeypatch.undo()
    monkeypatch.setattr(shards, "SHARD_BYTES", 256 * 8)
    filled(tmp_path)
    assert before.items() <= content(tmp_path).items()


def test_an_error_while_making_leaves_no_shard_and_no_lock(tmp_path):
    def fails(places):
        raise ValueError("the teacher fell over")

    with pytest.raises(ValueError, match="fell over"):
        table(tmp_path).fill(fails)
    assert not content(tmp_path)
    filled(tmp_path)


def test_a_disk_without_locks_is_said_and_not_waited_for(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", refused)
    with pytest.raises(RunError, match="cannot be locked"):
        Shards(tmp_path, 4, row_bytes=8).fill(lambda places: {"x": torch.from_numpy(places)})
