"""A shortlist on its own: order, ranks, files, and networks by its name."""

import csv
import json

import pytest
import torch

import limbeck
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, CorruptFileError, ModelError, RunError
from limbeck.loops.search import Scored, Searched
from limbeck.networks.names import build, structure
from limbeck.networks.spaces import Space, space_of
from limbeck.products import Shortlist

COSTS = {"parameters": 0.0, "macs": 0.0, "depth": 0.0, "bytes": 0.0}


def made(space, keep=10, score="rank-sum"):
    history = [
        Scored(
            code,
            {"semantic": (-1.0, -3.0, -float("inf"), -2.0)[place], "relation": -0.1 * place},
            {**COSTS, "parameters": 10.0 * place, "depth": 1.0 + place % 2, "macs": 5.0 - place},
        )
        for place, code in enumerate(space.codes())
    ]
    found = Searched(history, {"width": 2}, {"width": "too wide"})
    return Shortlist.of(found, space, score, ("semantic", "relation"), keep=keep)


@pytest.fixture
def shortlist():
    return made(space_of("mlp?hidden={4,8,16,32}"))


def test_order_and_ranks(shortlist):
    assert [one.name for one in shortlist.entries[:2]] == ["mlp?hidden=4", "mlp?hidden=8"]
    best = shortlist.best
    assert best.ranks["semantic"] == best.ranks["relation"] == best.ranks["score"] == 1
    assert (best.ranks["parameters"], best.ranks["macs"], best.ranks["depth"]) == (4, 1, 3)
    assert shortlist.facts["scored"] == 4
    assert set(shortlist.facts["kendall_with"]) == {"depth", "parameters", "macs"}
    assert (
        made(space_of("mlp?hidden={4,8,16,32}"), score="relation").facts["kendall_with"][
            "parameters"
        ]
        == -1.0
    )


def test_files_come_back_whole(shortlist, tmp_path):
    shortlist.save(tmp_path / "product")
    again = limbeck.load(tmp_path / "product")
    assert again.entries == shortlist.entries
    assert (again.score, again.combined, again.facts) == (
        shortlist.score, shortlist.combined, shortlist.facts
    )  # fmt: skip
    again.save(tmp_path / "again")
    names = ("product.json", "shortlist.json")
    texts = [
        [(tmp_path / one / name).read_bytes() for name in names] for one in ("product", "again")
    ]
    assert texts[0] == texts[1]
    path = tmp_path / "product" / "shortlist.json"
    path.write_text(path.read_text().replace("mlp", "cnn"))
    with pytest.raises(CorruptFileError):
        limbeck.load(tmp_path / "product")


def test_any_entry_is_a_network_by_name(shortlist, tmp_path):
    shortlist.save(tmp_path / "product")
    data = resolve("digits")
    for name in (f"shortlist:{tmp_path}?rank=2", f"shortlist:{tmp_path / 'product'}?rank=2"):
        network = build(name, data.input_space, 10)
        # The name that a student of it is stored under needs no shortlist.
        assert network.limbeck_spec == structure(name) == "mlp?hidden=8"
    assert shortlist.build(data, rank=3).limbeck_spec == shortlist.entries[2].name


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ("?rank=9", ArgumentError, "rank is 9, expected 1 to 4"),
        ("?rank=best", ArgumentError, "rank is 'best'"),
        ("?place=1", ArgumentError, "no option 'place'"),
        ("/none", ModelError, "holds no shortlist"),
    ],
)
def test_other_names_are_refused(shortlist, tmp_path, options, error, said):
    shortlist.save(tmp_path / "product")
    with pytest.raises(error, match=said):
        build(f"shortlist:{tmp_path}{options}", resolve("digits").input_space, 10)


def test_what_a_function_made_has_no_name(tmp_path):
    def network(width):
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, width))

    shortlist = made(Space({"width": (1, 2, 3, 4)}, network))
    assert shortlist.best.name is None
    assert shortlist.best.label == "width=1"
    data = resolve("digits")
    assert shortlist.build(data)[1].out_features == 1
    assert shortlist.measure(data)["cost"]["latency_ms"] > 0
    shortlist.save(tmp_path / "product")
    again = Shortlist.load(tmp_path / "product")
    assert "latency_ms" not in again.measure(data)["cost"]
    with pytest.raises(ModelError, match="call the function"):
        again.build(data)
    with pytest.raises(ModelError, match=r"made by a function .*'width': 1"):
        build(f"shortlist:{tmp_path}", resolve("digits").input_space, 10)


def test_it_predicts_nothing_and_says_what_to_do(shortlist):
    with pytest.raises(ModelError, match="--student shortlist:RUN"):
        shortlist.predict(torch.zeros(1, 64))
    with pytest.raises(ArgumentError, match="rank is 0"):
        shortlist.build(resolve("digits"), rank=0)
    with pytest.raises(ArgumentError, match="without entries"):
        Shortlist([], "sum", ("semantic",))


def test_agreement_with_what_was_measured(shortlist):
    measured = {f"mlp?hidden={width}": float(width) for width in (4, 8, 16, 32)}
    found = shortlist.agreement(measured)
    assert found["parameters"].kendall == 1.0
    assert found["relation"].kendall == -1.0
    assert found["macs"].kendall == -1.0
    with pytest.raises(ArgumentError, match="names 1 of the 4"):
        shortlist.agreement({"mlp?hidden=4": 1.0})


def test_measure_and_summary(shortlist):
    data = resolve("digits")
    row = shortlist.measure(data)
    assert row["cost"]["latency_ms"] > 0
    assert row["quality"] == shortlist.evaluate(data)
    assert {"score", "semantic", "relation", "tau_depth"} <= set(row["quality"])
    assert shortlist.summary().startswith("4 of 4 students by rank-sum, the best mlp?hidden=4")


def test_it_shows_its_line(shortlist):
    assert repr(shortlist) == f"Shortlist({shortlist.summary()})"


def test_exports(shortlist, tmp_path):
    facts = shortlist.export(tmp_path / "csv", to="csv")
    assert facts["files"] == ["manifest.json", "search.json", "shortlist.csv"]
    with (tmp_path / "csv" / "shortlist.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["network"] for row in rows] == [one.name for one in shortlist.entries]
    assert rows[-1]["choice_hidden"] == shortlist.entries[-1].choices["hidden"]
    shortlist.export(tmp_path / "json", to="json")
    told = json.loads((tmp_path / "json" / "shortlist.json").read_text())
    assert told[0]["ranks"]["depth"] == 3
    with pytest.raises(ArgumentError, match="no format 'onnx'"):
        shortlist.export(tmp_path / "onnx", to="onnx")
    with pytest.raises(RunError, match="another format"):
        shortlist.export(tmp_path / "csv", to="json")
