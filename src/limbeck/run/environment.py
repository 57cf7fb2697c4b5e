"""Environment: what a run ran on, without a user, a host or a path."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform

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
