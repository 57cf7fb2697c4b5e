"""Every python and bash block of the README and the cards runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .. import forked

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
PAGES += sorted((ROOT / "src" / "limbeck" / "methods").glob("*/README.md"))
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks():
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        for number, found in enumerate(BLOCK.finditer(page.read_text())):
            yield pytest.param(found[1], found[2], id=f"{name}-{number}")


@pytest.mark.parametrize(("language", "code"), list(blocks()))
def test_block_runs(language, code, tmp_path):
    if language == "python":
        done = forked.run(code, tmp_path, strict=True)
    else:
        # The command line of this very environment.
        command = ["bash", "-euc", f'export PATH="{Path(sys.executable).parent}:$PATH"\n{code}']
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
