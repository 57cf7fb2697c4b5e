"""A wheel installed in an empty environment has cards and presets and runs."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


def call(*command, **options):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, env=environment, **options
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def test_the_wheel_runs_without_the_checkout(tmp_path):
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    call(*pip, "wheel", "--no-deps", "--quiet", "--wheel-dir", str(tmp_path), str(ROOT))
    (wheel,) = tmp_path.glob("limbeck-*.whl")
    place = tmp_path / "empty"
    call(sys.executable, "-m", "venv", "--without-pip", str(place))
    python = str(place / "bin" / "python")
    call(*pip, "--python", python, "install", "--no-deps", "--quiet", str(wheel))
    site = Path(
        call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    # The libraries of this environment, without its own copy of limbeck: path files found in a
    # folder that a path file names are not followed.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = call(python, "-c", "import limbeck; print(limbeck.__file__)", cwd=tmp_path)
    assert where.startswith(str(place))
    limbeck = str(place / "bin" / "limbeck")
    assert "kd" in call(limbeck, "list", cwd=tmp_path)
    out = call(limbeck, "run", "kd", "--preset", "tiny", "--json", cwd=tmp_path)
    roles = [row["role"] for row in json.loads(out.splitlines()[-1])["rows"]]
    assert roles == ["product", "baseline", "ensemble", "teacher", "teacher"]
