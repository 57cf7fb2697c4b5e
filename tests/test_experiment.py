"""An experiment ends in its table whatever the precision, and mends what was damaged."""

import json
import shutil

import pytest

from limbeck import cards
from limbeck.errors import CorruptFileError, RunError
from limbeck.experiment import Request, perform
from limbeck.files import read_json
from limbeck.plain import merge
from limbeck.run.choices import PRECISIONS

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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experiment") / "run"
    return folder, perform(request(), folder, quiet=True)


@pytest.fixture
def copy(finished, tmp_path):
    folder, rows = finished
    shutil.copytree(folder, tmp_path / "run")
    return tmp_path / "run", rows


def quality(rows):
    return [(row["name"], row["role"], row["quality"]) for row in rows]


def test_a_damaged_product_is_made_anew(copy):
    """A copy of it with fresh checksums would pass for whole."""
    folder, rows = copy
    network = folder / "seeds" / "0" / "product" / "network.safetensors"
    whole = network.read_bytes()
    network.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert quality(perform(request(), folder, quiet=True)) == quality(rows)
    assert network.read_bytes() == whole
    assert (folder / "product" / network.name).read_bytes() == whole


@pytest.mark.parametrize("damage", [lambda text: "", lambda text: text.replace("0.", "0.9", 1)])
def test_a_damaged_table_is_made_anew(copy, damage):
    folder, rows = copy
    table = folder / "seeds" / "0" / "table.json"
    table.write_text(damage(table.read_text()))
    (folder / "table.json").unlink()
    assert quality(perform(request(), folder, quiet=True)) == quality(rows)
    assert quality(read_json(folder / "table.json")) == quality(rows)
    assert quality(read_json(table)) == quality(rows)


def test_a_whole_seed_is_read_back(copy):
    folder, rows = copy
    before = (folder / "seeds" / "0" / "table.json").stat().st_mtime_ns
    assert perform(request(), folder, quiet=True) == rows
    assert (folder / "seeds" / "0" / "table.json").stat().st_mtime_ns == before


def test_inputs_that_do_not_read_are_refused(copy):
    folder, _ = copy
    (folder / "seeds" / "0" / "table.json").unlink()
    (folder / "seeds" / "0" / "inputs.json").write_text("")
    with pytest.raises(CorruptFileError, match="inputs.json is damaged"):
        perform(request(), folder, quiet=True)


def test_settings_that_say_the_default_are_the_same_run(copy):
    folder, rows = copy
    settings = {**TINY["settings"], "temperature": 4.0}
    asked = Request("kd", settings, TINY["inputs"], options={"threads": 1})
    assert perform(asked, folder, quiet=True) == rows
    other = Request("kd", {**settings, "temperature": 3}, TINY["inputs"])
    with pytest.raises(RunError) as said:
        perform(other, folder, quiet=True)
    assert "settings.temperature: there 4.0, now 3" in str(said.value)
    assert str(said.value).count(": there") == 1


def test_stages_made_anew_have_their_rows_where_they_were(copy):
    folder, rows = copy
    seed = folder / "seeds" / "0"

    def logged():
        return [
            {name: value for name, value in row.items() if not name.endswith("seconds")}
            for row in rows_of(seed)
        ]

    whole = logged()
    first = min((seed / "stages").glob("teacher-0-*"))
    first.write_bytes(first.read_bytes()[:-8])
    state = next((seed / "checkpoints" / "student").glob("*/state.pt"))
    state.write_bytes(b"")
    (seed / "table.json").unlink()
    assert quality(perform(request(), folder, quiet=True)) == quality(rows)
    assert logged() == whole
