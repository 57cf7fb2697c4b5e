"""What `import limbeck` offers: the public names, known to editors as to people."""

import ast
import importlib
from pathlib import Path

import limbeck
from limbeck import cards

# Written out: a name that comes or goes is a change that users see.
PUBLIC = """
BAMBOO CDA CVDD DATM Data DecoupledDMD DisWOT ExitPolicy ForceField Generator InputSpace KD MealV2
Mirage Optim Outputs PLD PhasedDMD RecursiveMetaDistillation RegularizedMetaLearning Run Shortlist
SparseRetriever StackedPredictor Student SyntheticDataset SyntheticGraphs Term WindowCascade
WindowEarlyExit __version__ cached column data ensemble from_arrays from_datasets from_predictions
functional load teacher
"""


def test_public_names_are_those_written_here():
    assert dir(limbeck) == PUBLIC.split()


def test_every_public_name_is_there():
    for name in dir(limbeck):
        assert getattr(limbeck, name) is not None


def test_editors_know_all_names_and_methods():
    """What stands below ``TYPE_CHECKING`` is imported from where it is looked up."""
    tree = ast.parse(Path(limbeck.__file__).read_text())
    (known,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    told = {}
    for line in known.body:
        assert isinstance(line, ast.ImportFrom)
        for one in line.names:
            assert one.asname == one.name, f"{one.name} is not exported: import it as itself"
            told[one.name] = line.module
    classes = {cards.card(slug).class_name for slug in cards.slugs()}
    assert set(told) == {*limbeck._NAMES, *classes}
    for name, module in told.items():
        assert getattr(importlib.import_module(module), name) is getattr(limbeck, name)
