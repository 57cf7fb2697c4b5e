"""Load: get the product of a run back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from limbeck.errors import ArgumentError, CorruptFileError, RunError, absent, nearest
from limbeck.products import (
    ForceField,
    Generator,
    Shortlist,
    SparseRetriever,
    StackedPredictor,
    Student,
    SyntheticDataset,
    SyntheticGraphs,
    WindowCascade,
)
from limbeck.products.export_folder import FACTS
from limbeck.run.folder import how_to_go_on

if TYPE_CHECKING:
    from torch import nn

Product = (
    Student
    | StackedPredictor
    | SyntheticDataset
    | Generator
    | WindowCascade
    | SparseRetriever
    | ForceField
    | Shortlist
    | SyntheticGraphs
)
KINDS: dict[str, type[Product]] = {
    "student": Student,
    "stacked-predictor": StackedPredictor,
    "synthetic-dataset": SyntheticDataset,
    "generator": Generator,
    "window-cascade": WindowCascade,
    "sparse-retriever": SparseRetriever,
    "force-field": ForceField,
    "shortlist": Shortlist,
    "synthetic-graphs": SyntheticGraphs,
}


# Products that hold no network of their own to fill.
WITHOUT_NETWORK: tuple[type[Product], ...] = (
    SyntheticDataset,
    SyntheticGraphs,
    SparseRetriever,
    Shortlist,
)
# Products whose members may be fitted estimators.
WITH_ESTIMATORS: tuple[type[Product], ...] = (StackedPredictor, WindowCascade)


def load(
    run: str | Path,
    *,
    network: nn.Module | Sequence[nn.Module] | None = None,
    trusted: Sequence[str] = (),
) -> Product:
    """Return the product of a run folder, or of a product folder.

    Args:
        run: the folder.
        network: to fill with the weights, where the student, the denoiser of a generator or the
            force field was an object of your own class; of a cascade or a stack a list of those of
            its members, in order.
        trusted: full names of classes of your own, such as ``shop.Prices``, that estimators among
            the members of a stack or a cascade may hold: to load one can run its code.

    Returns:
        The product: a student, a stack or a cascade ready to predict, a generator to sample from,
        a set to train on, a retriever to search with, a force field to move atoms by, or a
        shortlist of architectures to train.

    Raises:
        RunError: there is no product: no run, or one that is not finished.
        CorruptFileError: a file was altered.
        ModelError: a network is needed or does not fit its weights, or an estimator holds a class
            that is not trusted.
        ArgumentError: a network came for a product that fills none, or names to trust for one
            that holds no estimator.
    """
    folder = Path(run)
    place = folder if (folder / FACTS).exists() else folder / "product"
    if not (place / FACTS).exists():
        if (folder / "settings.toml").exists():
            raise RunError(f"{folder} is not finished; {how_to_go_on(folder)}")
        why = "" if folder.exists() else f": {absent(folder)}"
        raise RunError(f"{folder} holds no run and no product{why}")
    product: Any = KINDS[_kind(place)]
    if network is not None and product in WITHOUT_NETWORK:
        raise ArgumentError(f"{folder} holds no student and no generator to fill with network=")
    if trusted and product not in WITH_ESTIMATORS:
        raise ArgumentError(
            f"{folder} holds no stack and no cascade, whose estimators trusted= is about; leave it "
            "out"
        )
    given: dict[str, Any] = {} if network is None else {"network": network}
    return product.load(place, **given, **({"trusted": trusted} if trusted else {}))


def _kind(place: Path) -> str:
    try:
        kind = json.loads((place / FACTS).read_text())["kind"]
    except (ValueError, KeyError, TypeError):
        raise CorruptFileError(f"{place / FACTS} was altered: it does not read") from None
    if kind not in KINDS:
        raise RunError(
            f"{place} holds a product of the kind {kind!r}, which this version of limbeck does "
            f"not know; {nearest(kind, KINDS)}"
        )
    return kind
