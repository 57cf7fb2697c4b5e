"""What comes out of a method."""

from limbeck.products.force_field import ForceField
from limbeck.products.generator import Generator
from limbeck.products.shortlist import Shortlist
from limbeck.products.sparse_retriever import SparseRetriever
from limbeck.products.stacked_predictor import StackedPredictor
from limbeck.products.student import Student
from limbeck.products.synthetic_dataset import SyntheticDataset
from limbeck.products.synthetic_graphs import SyntheticGraphs
from limbeck.products.window_cascade import WindowCascade

__all__ = [
    "ForceField",
    "Generator",
    "Shortlist",
    "SparseRetriever",
    "StackedPredictor",
    "Student",
    "SyntheticDataset",
    "SyntheticGraphs",
    "WindowCascade",
]
