"""Environment: what a run ran on, without a user, a host or a path."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import limbeck

PACKAGE = Path(__file__).parents[1]
LIBRARIES = ("limbeck", "torch", "numpy", "lightning-fabric", "timm", "torchvision")


def environment() -> str:
    """Versions and kind of machine, as JSON text.

    Example:
        >>> "python" in json.loads(environment())
        True
    """
    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    facts = {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "versions": versions,
    }
    return json.dumps(facts, indent=1) + "\n"


def provenance() -> dict[str, Any]:
    """What stands in every file of figures beside them: the day, the code and the environment.

    Example:
        >>> sorted(provenance())
        ['commit', 'date', 'environment']
    """
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "commit": commit() or limbeck.__version__,
        "environment": json.loads(environment()),
    }


def commit(package: Path = PACKAGE) -> str | None:
    """The short commit of the checkout that the package runs from, or None outside one.

    Args:
        package: its folder.
    """
    command = ["git", "-C", str(package), "rev-parse", "--show-prefix", "--short=12", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    place, found = done.stdout.splitlines()
    # Installed within a checkout of something else, it is none of that one's code.
    return found if place == "src/limbeck/" else None
