"""An experiment ends in its table whatever the precision, and mends what was damaged."""

import json

import pytest

from limbeck import cards
from limbeck.experiment import Request, perform
from limbeck.plain import merge
from limbeck.run.fabric import PRECISIONS

TINY = cards.preset("kd", "tiny")
# Teachers of twenty steps know little.
pytestmark = pytest.mark.filterwarnings("ignore::limbeck.errors.UnusualUseWarning")


def request(**changes):
    return Request("kd", TINY["settings"], TINY["inputs"], **changes)


def rows_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_precision_runs_to_its_end_and_measures_gradients(tmp_path, precision):
    settings = TINY["settings"]
    if precision == "16-true":
        # The small number that keeps Adam from dividing by 0 is 0 in half precision.
        sgd = {"optim": {"name": "sgd", "lr": 0.01}}
        settings = merge(settings, {**sgd, "teaching": sgd})
    asked = Request("kd", settings, TINY["inputs"], options={"precision": precision})
    rows = perform(asked, tmp_path / "run", quiet=True)
    assert rows[0]["role"] == "product"
    (last,) = [
        row
        for row in rows_of(tmp_path / "run" / "seeds" / "0")
        if row["stage"] == "student" and row["step"] == TINY["settings"]["steps"]
    ]
    assert last["gradient_norm.soft"] > 0
    assert last["gradient_norm.labels"] > 0
