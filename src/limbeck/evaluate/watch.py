"""Early stopping on the validation split."""

from __future__ import annotations

from limbeck import outputs as reading
from limbeck.data.data import Data
from limbeck.evaluate.quality import collect, main_figure, quality
from limbeck.loops.alternate import Models, Watch


def validation_watch(
    data: Data, *, every: int, patience: int | None, name: str = "student"
) -> Watch:
    """Watch a model's main figure on the validation samples.

    Args:
        data: its validation split is looked at, never its test split.
        every: steps between two looks.
        patience: looks without a new best before training stops; None only keeps the best.
        name: of the model in the loop.

    Returns:
        What `fit` and `alternate` take as ``watch``: accuracy, or the negative root mean squared
        error for regression.
    """
    figure, sign = main_figure(data.task)

    def score(models: Models) -> float:
        model = models[name]
        modes = {module: module.training for module in model.modules()}
        model.eval()
        logits, target = collect(lambda batch: reading.of(model, batch), data, data.validation)
        for module, mode in modes.items():
            module.training = mode
        return sign * quality(logits, target, data.task)[figure]

    return Watch(score, every, patience)
