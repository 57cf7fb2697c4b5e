"""The golden harness itself: what it reads, what it runs, and that a wrong value fails."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from .harness import Adapter, adapter, check, compute, differences, plan, read_built, table
from .reading import Case, read_cases

DOUBLE = {("unit", "double"): Adapter(lambda inputs, params: {"y": 2 * inputs["x"]})}


def case(expected, inputs=None, **options):
    settings = {"rtol": 1e-5, "atol": 1e-6, "real": frozenset({"x"}), **options}
    return Case("unit", "double", 0, inputs or {"x": [0.5, 1.0]}, {}, expected, **settings)


def write(folder: Path, stem: str, *entries: dict, **head) -> None:
    standard = {"function": "double", "params": {}, "expected": {}, "rtol": 0, "atol": 0}
    cases = [{**standard, **entry} for entry in entries]
    (folder / f"{stem}.json").write_text(json.dumps({**head, "cases": cases}))


def faults(actual, expected, **options):
    return [*differences({"y": actual}, {"y": expected}, case({}, **options))]


def test_right_value_passes_and_wrong_value_fails():
    check(case({"y": [1.0, 2.0]}), DOUBLE)
    check(case({"y": [1.0, 2.0 + 2e-5]}), DOUBLE)
    with pytest.raises(AssertionError, match=r"unit-double-0:\ny\[1\] is 2.0, expected 2.1"):
        check(case({"y": [1.0, 2.1]}), DOUBLE)
    with pytest.raises(AssertionError, match=r"y\[1\] is 2.0"):
        check(case({"y": [1.0, 2.0 + 3e-5]}), DOUBLE)


def test_missing_name_fails_and_further_name_does_not():
    with pytest.raises(AssertionError, match="z is missing, the adapter returned y"):
        check(case({"y": [1.0, 2.0], "z": 0.0}), DOUBLE)
    check(case({}), DOUBLE)


def test_wrong_shape_fails():
    for expected in ([1.0], [1.0, 2.0, 3.0], [[1.0, 2.0]], [[1.0], [2.0]], 1.0):
        with pytest.raises(AssertionError, match="expected"):
            check(case({"y": expected}), DOUBLE)


def test_missing_adapter_of_a_built_stem_fails():
    run, left = plan([case({})], {}, {"unit"})
    assert not left
    with pytest.raises(AssertionError, match="unit is built, but double has no adapter"):
        check(run[0], {})


def test_unbuilt_stem_is_left_out_in_one_line():
    run, left = plan([case({}), case({})], {}, set())
    assert run == []
    assert left == {"unit": "unit: 2 cases without an adapter: double"}


def test_case_with_an_adapter_runs_whether_or_not_its_stem_is_built():
    for built in (set(), {"unit"}):
        run, left = plan([case({})], DOUBLE, built)
        assert len(run) == 1
        assert not left


def test_decorator_marks_for_several_functions_and_two_adapters_are_refused():
    @adapter("a", "one")
    @adapter("b", "two", grad="x")
    def first(inputs, params):
        return {}

    @adapter("a", "one")
    def second(inputs, params):
        return {}

    found = table([SimpleNamespace(first=first, again=first)])
    assert set(found) == {("a", "one"), ("b", "two")}
    assert found["b", "two"].gradients == {"grad": "x"}
    with pytest.raises(ValueError, match="two adapters for a one"):
        table([SimpleNamespace(first=first), SimpleNamespace(second=second)])


def test_gradients_are_added_for_tensors_lists_and_numbers():
    def loss(inputs, params):
        product = inputs["x"].square().sum() * inputs["rate"]
        return {"loss": product + sum(layer.sum() for layer in inputs["layers"])}

    entry = Adapter(loss, "loss", {"grad": "x", "grad_rate": "rate", "grads": "layers"})
    inputs = {"x": [0.5, 1.0], "rate": 3.0, "layers": [[1, 2], [3]]}
    expected = {
        "loss": 9.75,
        "grad": [3.0, 6.0],
        "grad_rate": 1.25,
        "grads": [[1.0, 1.0], [1.0]],
    }
    check(case(expected, inputs), {("unit", "double"): entry})
    with pytest.raises(AssertionError, match=r"grad\[0\] is 3.0, expected 3.5"):
        check(case({**expected, "grad": [3.5, 6.0]}, inputs), {("unit", "double"): entry})
    assert not compute(case({"loss": 9.75}, inputs), entry)["loss"].requires_grad


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (torch.tensor([[1, 2]]), [[1, 2]]),
        (np.float32(0.5), 0.5),
        (torch.tensor(True), True),
        (torch.tensor([True, False]), [1, 0]),
        ([1, None], [1, None]),
        (math.nan, None),
        (torch.tensor([math.nan, math.inf, -math.inf]), ["NaN", "inf", "-Infinity"]),
        (torch.tensor([math.nan, math.inf]), [math.nan, math.inf]),
        ({1: (0.0, "word")}, {"1": [0.0, "word"]}),
        (torch.zeros(0, 3), []),
    ],
)
def test_values_of_every_kind_agree(actual, expected):
    assert faults(actual, expected) == []


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (0.0, None),
        (None, 0.0),
        (math.nan, 0.0),
        (0.0, math.nan),
        (math.inf, -math.inf),
        (1e300, math.inf),
        (1, True),
        (False, True),
        ("word", "ward"),
        (0.0, "0.0"),
        ([1], {"0": 1}),
        ({"0": 1}, [1]),
    ],
)
def test_values_of_every_kind_differ(actual, expected):
    assert len(faults(actual, expected)) == 1


def test_comparison_is_done_in_the_dtype_of_the_case():
    exact = {"rtol": 0.0, "atol": 0.0}
    assert faults(1.0 + 1e-12, 1.0, **exact)
    assert not faults(1.0 + 1e-12, 1.0, dtype=torch.float32, **exact)
    assert faults(1.0 + 1e-6, 1.0, dtype=torch.float32, **exact)


@pytest.mark.parametrize(
    ("entry", "params", "head", "dtype"),
    [
        ({}, {}, {}, torch.float64),
        ({"dtype": "float32"}, {}, {}, torch.float32),
        ({"dtype": "int"}, {}, {}, torch.float64),
        ({"dtype": "int16/float32"}, {}, {}, torch.float32),
        ({"dtype": "float64 state, float32 schedule"}, {}, {}, torch.float64),
        ({}, {"dtype": "float32"}, {"dtype": "float64 unless params.dtype says"}, torch.float32),
        ({}, {}, {"dtype": "float64 unless params.dtype says"}, torch.float64),
    ],
)
def test_dtype_is_read_from_the_case_its_params_or_the_file(tmp_path, entry, params, head, dtype):
    write(tmp_path, "unit", {"inputs": {"x": [0.5]}, "params": params, **entry}, **head)
    (read,) = read_cases(tmp_path)
    assert read.dtype == dtype
    assert read.tensors()["x"].dtype == dtype


def test_inputs_become_tensors_where_they_are_lists_of_numbers(tmp_path):
    inputs = {
        "labels": [2, 0],
        "flags": [True, False],
        "real": [[1, 2], [3, 4]],
        "spelled": [1, "inf"],
        "ragged": [[1.5], [2.5, 3.5]],
        "weights": {"bias": [0.5], "index": [1]},
        "words": ["inner", "word"],
        "rate": 0.1,
        "none": None,
        "empty": [],
    }
    other = {**inputs, "real": [[0.5, 2], [3, 4]]}
    write(tmp_path, "unit", {"inputs": inputs}, {"inputs": other})
    first, second = (read.tensors() for read in read_cases(tmp_path))
    assert first["labels"].dtype == torch.int64
    assert first["flags"].dtype == torch.bool
    # Whole numbers in one case are still real numbers if another case has a fraction there.
    assert first["real"].dtype == second["real"].dtype == torch.float64
    assert first["real"].shape == (2, 2)
    assert first["spelled"].tolist() == [1.0, math.inf]
    assert [layer.shape[0] for layer in first["ragged"]] == [1, 2]
    assert first["weights"]["bias"].dtype == torch.float64
    assert first["weights"]["index"].dtype == torch.int64
    assert first["words"] == ["inner", "word"]
    assert first["rate"] == 0.1
    assert first["none"] is None
    assert first["empty"].shape == (0,)


def test_cases_are_numbered_within_their_function(tmp_path):
    entries = [{"function": name, "inputs": {}} for name in ("a", "b", "a")]
    write(tmp_path, "unit", *entries)
    assert [read.id for read in read_cases(tmp_path)] == ["unit-a-0", "unit-b-0", "unit-a-1"]


def test_a_folder_without_cases_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no golden files"):
        read_cases(tmp_path)


def test_built_stems_are_read(tmp_path):
    (tmp_path / "built.toml").write_text('stems = ["meal-v2"]')
    assert read_built(tmp_path / "built.toml") == {"meal-v2"}


def test_option_golden_runs_any_folder(tmp_path):
    """The whole way round: a right case passes, a wrong one fails, an unbuilt stem skips once."""
    right = {"scores": [[0.0, 1.0]], "targets": [[0.0, 1.0]]}
    kl = {"function": "listwise_kl", "inputs": right, "rtol": 0, "atol": 1e-6}
    write(
        tmp_path, "cross-encoders", {**kl, "expected": {"loss": 0}}, {**kl, "expected": {"loss": 1}}
    )
    write(tmp_path, "some-stem", *[{"inputs": {}}] * 3)
    here = Path(__file__).parent
    command = [sys.executable, "-m", "pytest", str(here / "test_golden.py"), "-rA", "-q"]
    command += ["-p", "no:cacheprovider", "-k", "test_golden", "--golden", str(tmp_path)]
    done = subprocess.run(
        command, cwd=here.parent.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    listed = [x.split(" - ")[0].split("::")[-1] for x in lines if x.startswith(("PASSED", "FAIL"))]
    assert "test_golden[cross-encoders-listwise_kl-0]" in listed
    assert [x for x in lines if x.startswith("FAILED") and "listwise_kl-1" in x]
    assert "1 failed" in lines[-1]
    assert "1 skipped" in lines[-1]
    assert "some-stem: 3 cases without an adapter: double" in done.stdout
