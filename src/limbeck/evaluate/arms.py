"""Arms: variations of a method that learn from one teacher and are judged on the same noise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from limbeck.data.names import resolve
from limbeck.evaluate.generators import generator_rows
from limbeck.evaluate.quality import Figures
from limbeck.run.run import Run


def made_arms(
    folder: Path, seed: int, data: Any, teacher: str, arms: Mapping[str, Any]
) -> dict[str, Any]:
    """Run each arm; the first trains the teacher, the others take it.

    Args:
        folder: of the runs.
        seed: of the runs.
        data: name of the data or the data.
        teacher: name of the teacher.
        arms: methods by name, with the same settings of teaching.

    Returns:
        Products by name.
    """
    first = folder / _word(next(iter(arms)))
    return {
        name: method.distill(
            Run(folder / _word(name), seed=seed, shared=first), teacher=teacher, data=data
        )
        for name, method in arms.items()
    }


def judged_arms(
    folder: Path, seed: int, data: str, teacher: str, arms: Mapping[str, Any]
) -> dict[str, Figures]:
    """Run each arm and judge what it makes.

    Args:
        folder: as of `made_arms`.
        seed: as of `made_arms`.
        data: as of `made_arms`.
        teacher: as of `made_arms`.
        arms: methods that give a `Generator`, by name.

    Returns:
        Quality by name.
    """
    known = resolve(data)
    made = made_arms(folder, seed, known, teacher, arms)
    rows, _ = generator_rows(Run(folder / "judged", seed=seed), made, known)
    return {row["name"]: row["quality"] for row in rows if row["name"] in arms}


def _word(name: str) -> str:
    return name.replace(", ", "-").replace(" ", "-")
