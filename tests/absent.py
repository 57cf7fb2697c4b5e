"""Take libraries away from an interpreter, as where the extra that brings them is not installed."""

import re
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# Extras of those who work on limbeck, or of several others together.
GATHERING = {"docs", "test", "all"}
# What comes along with a library of an extra and is imported by its own name.
ALONG = {"text": {"tokenizers"}}
# What limbeck's own dependencies bring anyway: torch needs it.
THERE = {"networkx"}


def modules() -> dict[str, set[str]]:
    """The modules that each extra brings."""
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = facts["project"]["optional-dependencies"]
    return {
        extra: {re.split("[>=<]", one)[0].replace("-", "_") for one in wanted} - THERE
        | ALONG.get(extra, set())
        for extra, wanted in found.items()
        if extra not in GATHERING
    }


def absent(named: Collection[str]) -> list[str]:
    """The modules that are not there for who has installed these extras and no others."""
    brought = modules()
    return sorted(set().union(*brought.values()) - set().union(*(brought[one] for one in named)))


class Hiding:
    """A finder of modules that does not find some."""

    def __init__(self, finder: Any, names: Collection[str]) -> None:
        self.finder, self.names = finder, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self.finder, name)

    def find_spec(self, name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in self.names:
            return None
        return self.finder.find_spec(name, *rest)


def hide(names: Collection[str]) -> None:
    """Let these modules be missing in this process from now on."""
    sys.meta_path[:] = [Hiding(one, names) for one in sys.meta_path]
    for name in [one for one in sys.modules if one.partition(".")[0] in names]:
        del sys.modules[name]
