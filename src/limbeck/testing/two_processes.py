"""One job for all methods: ``torchrun --nproc-per-node 2 -m limbeck.testing.two_processes DIR``."""

from __future__ import annotations

import sys
from pathlib import Path

from limbeck import cards
from limbeck.run import Run
from limbeck.run.run import Options


def distill_all(folder: Path) -> list[str]:
    """Distil every method that declares it, on its ``tiny`` preset in double precision.

    Args:
        folder: a run folder a method is made in it.

    Returns:
        Slugs of the methods.
    """
    chosen = [slug for slug in cards.slugs() if cards.card(slug).contract.get("two_processes")]
    for slug in chosen:
        tiny = cards.preset(slug, "tiny")
        method = cards.load_class(slug)(**tiny.get("settings", {}))
        run = Run(folder / slug, options=Options(precision="64-true"))
        method.distill(run, **tiny["inputs"])
    return chosen


if __name__ == "__main__":
    distill_all(Path(sys.argv[1]))
