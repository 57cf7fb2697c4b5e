"""Figures say which code they are of: the commit of its own checkout, or the version."""

import datetime
import subprocess

import pytest

import limbeck
from limbeck.run import environment


@pytest.fixture
def checkout(tmp_path):
    """A checkout with one commit; gives the folder and the commit."""

    def git(*words):
        names = ("-c", "user.name=one", "-c", "user.email=one@example.org")
        command = ["git", "-C", str(tmp_path), *names, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    return tmp_path, git("rev-parse", "HEAD")


def package(folder):
    folder.mkdir(parents=True)
    return folder


def test_the_commit_is_that_of_the_checkout(checkout):
    root, head = checkout
    found = environment.commit(package(root / "src" / "limbeck"))
    assert len(found) == 12
    assert head.startswith(found)


def test_a_checkout_of_something_else_does_not_count(checkout):
    root, _ = checkout
    assert environment.commit(root) is None
    assert environment.commit(package(root / ".venv" / "site-packages" / "limbeck")) is None


def test_outside_a_checkout_figures_have_the_version(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert environment.commit(tmp_path) is None
    monkeypatch.setattr(environment, "commit", lambda: None)
    assert environment.provenance()["commit"] == limbeck.__version__


def test_the_day_is_that_of_today():
    today = datetime.datetime.now(datetime.UTC).date()
    told = datetime.date.fromisoformat(environment.provenance()["date"])
    assert abs((today - told).days) <= 1
