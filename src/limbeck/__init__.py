"""limbeck: distil ensembles, data sets and samplers into something small.

Names load when they are first used: ``import limbeck`` needs no torch.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "Data": "limbeck.data",
    "ExitPolicy": "limbeck.selection",
    "ForceField": "limbeck.products",
    "Generator": "limbeck.products",
    "InputSpace": "limbeck.data",
    "Optim": "limbeck.loops",
    "Outputs": "limbeck.outputs",
    "Run": "limbeck.run",
    "Shortlist": "limbeck.products",
    "StackedPredictor": "limbeck.products",
    "Student": "limbeck.products",
    "SyntheticDataset": "limbeck.products",
    "SyntheticGraphs": "limbeck.products",
    "Term": "limbeck.objectives",
    "WindowCascade": "limbeck.products",
    "cached": "limbeck.cache",
    "column": "limbeck.teachers",
    "ensemble": "limbeck.teachers",
    "from_arrays": "limbeck.data",
    "from_datasets": "limbeck.data",
    "from_predictions": "limbeck.data",
    "load": "limbeck.loading",
    "teacher": "limbeck.teachers",
}
# Rooms whose own names are public, too.
_ROOMS = ("data", "functional")

if TYPE_CHECKING:
    from limbeck.cache import cached as cached
    from limbeck.data import Data as Data
    from limbeck.data import InputSpace as InputSpace
    from limbeck.data import from_arrays as from_arrays
    from limbeck.data import from_datasets as from_datasets
    from limbeck.data import from_predictions as from_predictions
    from limbeck.loading import load as load
    from limbeck.loops import Optim as Optim
    from limbeck.methods.bamboo.bamboo import BAMBOO as BAMBOO
    from limbeck.methods.cda.cda import CDA as CDA
    from limbeck.methods.cv_dd.cv_dd import CVDD as CVDD
    from limbeck.methods.datm.datm import DATM as DATM
    from limbeck.methods.decoupled_dmd.decoupled_dmd import DecoupledDMD as DecoupledDMD
    from limbeck.methods.diswot.diswot import DisWOT as DisWOT
    from limbeck.methods.kd.kd import KD as KD
    from limbeck.methods.meal_v2.meal_v2 import MealV2 as MealV2
    from limbeck.methods.mirage.mirage import Mirage as Mirage
    from limbeck.methods.phased_dmd.phased_dmd import PhasedDMD as PhasedDMD
    from limbeck.methods.pld.pld import PLD as PLD
    from limbeck.methods.recursive_meta_distillation.recursive_meta_distillation import (
        RecursiveMetaDistillation as RecursiveMetaDistillation,
    )
    from limbeck.methods.regularized_meta_learning.regularized_meta_learning import (
        RegularizedMetaLearning as RegularizedMetaLearning,
    )
    from limbeck.methods.sparse_retriever.sparse_retriever import SparseRetriever as SparseRetriever
    from limbeck.methods.window_early_exit.window_early_exit import (
        WindowEarlyExit as WindowEarlyExit,
    )
    from limbeck.objectives import Term as Term
    from limbeck.outputs import Outputs as Outputs
    from limbeck.products import ForceField as ForceField
    from limbeck.products import Generator as Generator
    from limbeck.products import Shortlist as Shortlist
    from limbeck.products import StackedPredictor as StackedPredictor
    from limbeck.products import Student as Student
    from limbeck.products import SyntheticDataset as SyntheticDataset
    from limbeck.products import SyntheticGraphs as SyntheticGraphs
    from limbeck.products import WindowCascade as WindowCascade
    from limbeck.run import Run as Run
    from limbeck.selection import ExitPolicy as ExitPolicy
    from limbeck.teachers import column as column
    from limbeck.teachers import ensemble as ensemble
    from limbeck.teachers import teacher as teacher


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name[:1].isupper() and name in (methods := _methods()):
        return importlib.import_module("limbeck.cards").load_class(methods[name])
    if name[:1].islower() and importlib.util.find_spec(f"limbeck.{name}") is not None:
        return importlib.import_module(f"limbeck.{name}")
    raise AttributeError(f"module 'limbeck' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(["__version__", *_NAMES, *_ROOMS, *_methods()])


def _methods() -> dict[str, str]:
    """Slugs of the methods by class name, read from their cards."""
    cards = importlib.import_module("limbeck.cards")
    return {cards.card(slug).class_name: slug for slug in cards.slugs()}
