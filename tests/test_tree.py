"""What is committed: floors in order, no machine in it, pages up to date."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import house

ROOT = Path(__file__).parents[1]
SOURCE = house.SOURCE


def test_every_room_has_a_floor():
    assert {house.room_of(path) for path in house.sources()} <= set(house.LEVEL)


def test_every_room_says_what_it_is_for():
    assert all(house.purpose(room) for room in house.LEVEL)


def test_imports_go_down():
    wrong = [
        f"{path.relative_to(SOURCE)} imports {'.'.join(parts)}"
        for path in house.sources()
        for parts in house.imported(path)
        if house.LEVEL.get(parts[0], 0) > house.LEVEL[house.room_of(path)]
    ]
    assert not wrong


def test_no_method_imports_another():
    for path in (SOURCE / "methods").rglob("*.py"):
        own = path.relative_to(SOURCE / "methods").parts[0]
        for parts in house.imported(path):
            assert parts[0] != "methods" or parts[1] == own, f"{path} imports {parts}"


def test_functional_needs_torch_and_numpy_only():
    allowed = {"torch", "numpy", "limbeck", *sys.stdlib_module_names}
    for path in (SOURCE / "functional").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.split(".")[0] for name in names} <= allowed, f"{path}: {names}"


def test_no_source_file_is_above_400_lines():
    long = {p.name: n for p in house.sources() if (n := len(p.read_text().splitlines())) > 400}
    assert not long


def test_nothing_committed_names_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Put together here, so that this file does not find itself.
    words = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + "me/", "/t" + "mp/", "py" + "pi", "np" + "mjs"]
    pattern = re.compile("|".join(map(re.escape, words)))
    for name in listed.stdout.split():
        path = ROOT / name
        if (
            path.suffix in (".json", ".png", ".npz") and "cases" in path.parts
        ) or not path.is_file():
            continue
        found = pattern.search(path.read_text(errors="ignore"))
        assert not found, f"{name} holds {found[0]!r}"


def test_pages_show_the_recorded_figures():
    command = [sys.executable, str(ROOT / "docs" / "render.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}run: python docs/render.py"


def test_the_package_imports_without_torch():
    code = "import sys, limbeck, limbeck.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    "path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda one: one.stem
)
def test_benchmarks_import_what_there_is(path, monkeypatch):
    """A benchmark takes minutes and is no test; that its names exist is one."""
    # As where it is run: one may take from another.
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location(f"benchmark_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert callable(module.main)
