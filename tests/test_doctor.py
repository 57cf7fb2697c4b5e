"""The doctor reads extras from metadata and never fails because something is missing."""

import importlib.metadata
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from limbeck import doctor

ROOT = Path(__file__).parents[1]
LINES = [
    "numpy>=2.0",
    "limbeck[a,b]; extra == 'all'",
    "there-is-no-such-package>=3; extra == 'a'",
    "numpy>=900; extra == 'b'",
    "torch>=900; extra == 'b'",
    "there-is-no-such-package>=3; extra == 'all'",
    "torch>=900; extra == 'all'",
    "never; sys_platform == 'no-such-system'",
]


def test_present_missing_and_other_versions_are_told_apart():
    found = doctor.libraries(LINES, ["a", "b", "all"])
    told = {(one.name, one.extra): one.state for one in found}
    assert told["numpy", ""] == "present"
    assert told["there-is-no-such-package", "a"] == "missing"
    assert told["torch", "b"] == "other version"
    assert not any(name == "never" for name, _ in told)


def test_an_extra_that_gathers_others_is_left_out():
    lines = ["x; extra == 'a'", "y; extra == 'b'", "x; extra == 'all'", "y; extra == 'all'"]
    assert {one.extra for one in doctor.libraries(lines, ["a", "b", "all"])} == {"a", "b"}
    lines = ["x; extra == 'a'", "x; extra == 'also'"]
    assert {one.extra for one in doctor.libraries(lines, ["a", "also"])} == {"a", "also"}


def test_what_the_project_declares_is_what_is_looked_up():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    lines = list(project["dependencies"])
    for extra, needed in extras.items():
        lines += [f"{one}; extra == '{extra}'" for one in needed if not one.startswith("limbeck")]
    found = doctor.libraries(lines, extras)
    for extra in extras.keys() - {"all"}:
        names = {Requirement(one).name for one in extras[extra]}
        assert {one.name for one in found if one.extra == extra} == names
    assert all(one.state == "present" for one in found if not one.extra)


def test_nothing_installed_is_no_error(monkeypatch):
    def absent(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "metadata", absent)
    assert doctor.installed() == []


def test_a_torch_that_does_not_import_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = doctor.findings()
    assert found["devices"] == []
    assert "torch" in found["problem"]


def test_the_data_root_is_told(monkeypatch, tmp_path):
    monkeypatch.delenv("LIMBECK_DATA", raising=False)
    assert doctor.data_root() == {"path": None, "sets": []}
    (tmp_path / "flowers").mkdir()
    (tmp_path / "README").touch()
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path))
    assert doctor.data_root() == {"path": str(tmp_path), "sets": ["flowers"]}
    monkeypatch.setenv("LIMBECK_DATA", str(tmp_path / "absent"))
    assert doctor.data_root()["problem"]


@pytest.mark.parametrize(("variable", "name"), [("HF_HOME", "hf:"), ("TORCH_HOME", "torchvision:")])
def test_folders_follow_the_environment_and_need_not_exist(variable, name, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "models"))
    folder = next(one for one in doctor.folders() if name in one["name"])
    assert folder["path"].startswith(str(tmp_path))
    assert (folder["exists"], folder["writable"]) == (False, True)
    assert folder["free"] > 0
