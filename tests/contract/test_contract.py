"""Every method passes the contract; a method exists when its row passes."""

import subprocess
import sys

import pytest
import torch

from limbeck import cards
from limbeck.files import load_tensors
from limbeck.testing.contract import CHECKS, Contract, run_check
from limbeck.testing.two_processes import distill_all

TINY_SECONDS = 3.0


@pytest.fixture(scope="module", params=cards.slugs())
def contract(request, tmp_path_factory):
    return Contract(request.param, tmp_path_factory.mktemp(request.param))


@pytest.mark.parametrize("check", CHECKS)
def test_contract(contract, check, record_property):
    run_check(contract, check)
    # A shared machine is noisy: the budget of the tiny preset is reported, not asserted.
    record_property("tiny_cpu_seconds", round(contract.seconds, 2))
    if contract.seconds > TINY_SECONDS:
        print(f"{contract.slug}: tiny took {contract.seconds:.1f} s of {TINY_SECONDS} s")


def test_a_declared_failure_must_fail(tmp_path):
    contract = Contract("kd", tmp_path)
    contract.card.expected_failures["repr_is_stable"] = "declared by this test"
    try:
        with pytest.raises(AssertionError, match="holds although the card says"):
            run_check(contract, "repr_is_stable")
    finally:
        del contract.card.expected_failures["repr_is_stable"]


def test_two_processes_equal_one(tmp_path):
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
        "-m", "limbeck.testing.two_processes", str(tmp_path / "two"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    for slug in distill_all(tmp_path / "one"):
        product = tmp_path / "one" / slug / "product"
        for path in product.glob("*.safetensors"):
            one, _ = load_tensors(path)
            two, _ = load_tensors(tmp_path / "two" / slug / "product" / path.name)
            assert set(one) == set(two)
            for name in one:
                assert one[name].dtype == torch.float64
                torch.testing.assert_close(two[name], one[name], rtol=1e-9, atol=1e-12)
