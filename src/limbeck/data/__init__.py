"""Data and batches, embedded sets, file layouts, replayable views and keyed loaders."""

from limbeck.data.atoms import from_atoms, to_atoms
from limbeck.data.batch import Batch
from limbeck.data.centred import centred
from limbeck.data.data import Data, Task, from_arrays, from_datasets
from limbeck.data.embedded import diabetes, digits, friedman, shifted_digits
from limbeck.data.force_data import ForceData, assemble_forces
from limbeck.data.frames import Frames, join
from limbeck.data.graph_data import GraphData, assemble_graphs
from limbeck.data.graph_labels import NodeLabels
from limbeck.data.graphs import GraphBatch, GraphBatches, graph
from limbeck.data.labelled_graphs import Graphs, join_graphs, united
from limbeck.data.labelling import label_source, labelled
from limbeck.data.loader import Loader, sequential
from limbeck.data.mixing import cutmix
from limbeck.data.molecules import molecules
from limbeck.data.motif_graphs import motif_graphs
from limbeck.data.predictions import from_predictions
from limbeck.data.problems import MIXTURES, Mixture
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.data.siamese import Siamese
from limbeck.data.space import InputSpace, convert
from limbeck.data.splits import DatasetSplit, Split, Subset, TensorSplit
from limbeck.data.views import Views
from limbeck.data.whitened import normalised, whitened
from limbeck.data.xyz_files import write_xyz

__all__ = [
    "MIXTURES",
    "Batch",
    "Data",
    "DatasetSplit",
    "ForceData",
    "Frames",
    "GraphBatch",
    "GraphBatches",
    "GraphData",
    "Graphs",
    "InputSpace",
    "Judged",
    "Loader",
    "Mixture",
    "NodeLabels",
    "RetrievalData",
    "Siamese",
    "Split",
    "Subset",
    "Task",
    "TensorSplit",
    "Views",
    "assemble_forces",
    "assemble_graphs",
    "centred",
    "convert",
    "cutmix",
    "diabetes",
    "digits",
    "friedman",
    "from_arrays",
    "from_atoms",
    "from_datasets",
    "from_predictions",
    "graph",
    "join",
    "join_graphs",
    "label_source",
    "labelled",
    "molecules",
    "motif_graphs",
    "normalised",
    "sequential",
    "shifted_digits",
    "to_atoms",
    "united",
    "whitened",
    "write_xyz",
]
