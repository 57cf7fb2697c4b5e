"""Every example runs and stays short."""

from pathlib import Path

import pytest

from .. import forked

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, tmp_path):
    assert len(path.read_text().splitlines()) <= 80
    done = forked.run(path.read_text(), tmp_path, name=str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip()
