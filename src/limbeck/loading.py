"""Load: get the product of a run back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from limbeck.errors import RunError
from limbeck.products.student import FACTS, Student
from limbeck.run.folder import how_to_go_on

if TYPE_CHECKING:
    from torch import nn


def load(run: str | Path, *, network: nn.Module | None = None) -> Student:
    """Return the product of a run folder, or of a product folder.

    Args:
        run: the folder.
        network: to fill with the weights, where the student was an object of your own class.

    Returns:
        The product, ready to predict.

    Raises:
        RunError: there is no product: no run, or one that is not finished.
        CorruptFileError: a file was altered.
    """
    folder = Path(run)
    place = folder if (folder / FACTS).exists() else folder / "product"
    if not (place / FACTS).exists():
        if (folder / "settings.toml").exists():
            raise RunError(f"{folder} is not finished; {how_to_go_on(folder)}")
        raise RunError(f"{folder} holds no run and no product")
    return Student.load(place, network)
