"""Selection: which samples of a data set to keep, and which samples a later model sees."""

from limbeck.selection.coresets import (
    forgetting,
    forgetting_counts,
    herding,
    k_center,
    k_means,
    random_selection,
)
from limbeck.selection.embeddings import embeddings
from limbeck.selection.exit_policy import ExitPolicy
from limbeck.selection.exits import Exits, Routed
from limbeck.selection.histories import right_over_epochs
from limbeck.selection.names import SELECTIONS, Selection, needs, selected
from limbeck.selection.patches import Patches, mosaics

__all__ = [
    "SELECTIONS",
    "ExitPolicy",
    "Exits",
    "Patches",
    "Routed",
    "Selection",
    "embeddings",
    "forgetting",
    "forgetting_counts",
    "herding",
    "k_center",
    "k_means",
    "mosaics",
    "needs",
    "random_selection",
    "right_over_epochs",
    "selected",
]
