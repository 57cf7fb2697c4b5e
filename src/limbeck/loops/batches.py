"""Batches: the training samples of a stage as a run reads them."""

from __future__ import annotations

from limbeck.data.data import Data
from limbeck.data.loader import Loader
from limbeck.data.views import Views
from limbeck.run.run import Run


def training_batches(
    run: Run, stage: str, data: Data, batch_size: int, views: Views | None = None
) -> Loader:
    """Batches of the training split under a run's seed, its workers, and its process's rows.

    Args:
        run: the folder.
        stage: name of the stage, so that stages see different orders.
        data: the data.
        batch_size: samples a step over all processes; at most the size of the split is used.
        views: random changes of images.

    Returns:
        The loader.

    Raises:
        ArgumentError: the batch size is below 1 or no multiple of the number of processes.
    """
    return Loader(
        data,
        data.train,
        batch_size,
        seed=run.seed,
        stage=stage,
        views=views,
        workers=run.options.workers,
        rank=run.engine.rank,
        world=run.engine.world,
    )
