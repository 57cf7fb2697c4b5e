"""The contract: generic checks that every method passes on its ``tiny`` preset."""

from __future__ import annotations

import copy
import dataclasses
import json
import signal
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from limbeck import cards, keyed
from limbeck.data import Data, InputSpace, from_arrays, sequential
from limbeck.data.data import TASKS
from limbeck.data.names import resolve
from limbeck.errors import Interrupted, LimbeckError
from limbeck.files import MANIFEST, load_tensors
from limbeck.fingerprint import fingerprint
from limbeck.loading import load
from limbeck.networks.names import build
from limbeck.plain import to_plain
from limbeck.run import Run

STOP_ROW = 7


class StoppingRun(Run):
    """A run whose user presses Ctrl-C in the middle of one stage."""

    stopping = ""
    rows = 0

    def log(self, **row: Any) -> None:
        """Append a row, then stop if it is the one."""
        super().log(**row)
        self.rows += row["stage"] == self.stopping
        if self.rows == STOP_ROW:
            signal.raise_signal(signal.SIGINT)


class Contract:
    """A method on its ``tiny`` preset, and the checks it must pass.

    Args:
        slug: of the method.
        folder: for the runs.
    """

    def __init__(self, slug: str, folder: Path) -> None:
        self.slug, self.folder = slug, folder
        self.card = cards.card(slug)
        tiny = cards.preset(slug, "tiny")
        self.inputs: Mapping[str, Any] = tiny["inputs"]
        self.settings: Mapping[str, Any] = tiny.get("settings", {})
        self.method: Any = cards.load_class(slug)(**self.settings)
        self.seconds = 0.0

    @cached_property
    def product(self) -> Any:
        """Product of the first run; its time is kept in ``seconds``."""
        begun = time.process_time()
        made = self.method.distill(Run(self.folder / "first"), **self.inputs)
        self.seconds = time.process_time() - begun
        return made

    @cached_property
    def data(self) -> Any:
        """The data of the preset."""
        return resolve(self.inputs["data"])

    @cached_property
    def own(self) -> Any:
        """The room of a task whose data are no arrays; None for those that are."""
        from importlib import import_module

        task = self.data.task
        return None if task in TASKS else import_module(f"limbeck.testing.{task}")

    def card_is_complete(self) -> None:
        """Facts, headings in order, presets and claims are there."""
        text = (self.card.folder / "README.md").read_text()
        places = [text.find(f"\n## {heading}") for heading in cards.HEADINGS]
        missing = [
            heading for heading, place in zip(cards.HEADINGS, places, strict=True) if place < 0
        ]
        assert not missing, f"README.md lacks the headings {missing}"
        assert places == sorted(places), (
            f"README.md has its headings in another order: {cards.HEADINGS}"
        )
        names = list(cards.presets(self.slug))
        for wanted in ("tiny", "demo", "small"):
            assert wanted in names, f"there is no preset {wanted}"
        assert any(name.startswith("paper-") for name in names), "there is no paper-* preset"
        for name, content in cards.presets(self.slug).items():
            type(self.method)(**content.get("settings", {}))
            known = {"settings", "inputs", "seeds"}
            assert set(content) <= known, f"preset {name} has unknown tables"
        from limbeck.claims import claims_of

        numbers = [claim.number for claim in claims_of(self.slug)]
        assert numbers == list(range(1, len(numbers) + 1)), f"claims are numbered {numbers}"

    def constructor_does_no_work(self) -> None:
        """Constructing stores plain values, draws nothing and builds nothing."""
        state = torch.get_rng_state()
        made = type(self.method)(**self.settings)
        assert torch.equal(state, torch.get_rng_state()), "the constructor drew random numbers"
        values = [getattr(made, field.name) for field in dataclasses.fields(made)]
        live = [one for one in values if isinstance(one, (nn.Module, torch.Tensor))]
        assert not live, f"the constructor built {live}"
        json.dumps(to_plain(made))

    def repr_is_stable(self) -> None:
        """Equal settings print equal text without addresses."""
        again = type(self.method)(**self.settings)
        assert repr(again) == repr(self.method)
        assert again == self.method
        assert " at 0x" not in repr(again)

    def same_seed_same_result(self) -> None:
        """Two runs of one seed give the same product to the bit, and another seed another.

        Of a method that draws nothing all seeds give the same.
        """
        assert self.product is not None
        self.method.distill(Run(self.folder / "second"), **self.inputs)
        first, second = self._sums("first"), self._sums("second")
        assert first == second, "the same seed gave another product"
        self.method.distill(Run(self.folder / "other", seed=1), **self.inputs)
        if self.card.contract.get("drawless"):
            assert self._sums("other") == first, "another seed gave another product"
        else:
            assert self._sums("other") != first, "another seed gave the same product"

    def stopped_equals_uninterrupted(self) -> None:
        """A run stopped by Ctrl-C in every stage and gone on with gives the same to the bit."""
        assert self.product is not None
        place = self.folder / "stopped"
        stages = list(dict.fromkeys(row["stage"] for row in self._metrics("first")))
        for stage in stages:
            run = StoppingRun(place)
            run.stopping = stage
            stopped = False
            try:
                self.method.distill(run, **self.inputs)
            except Interrupted:
                stopped = True
            assert stopped, f"stage {stage} logged fewer than {STOP_ROW} rows, so it did not stop"
        self.method.distill(Run(place), **self.inputs)
        assert self._sums("stopped") == self._sums("first"), "going on gave another product"
        assert self._metrics("stopped") == self._metrics("first"), "metrics differ"

    def teacher_stays_unchanged(self) -> None:
        """Teachers given as modules keep every bit, and get no gradient."""
        if "teacher" not in self.card.takes:
            return
        teachers = self._modules()
        before = [fingerprint(one) for one in teachers]
        self.method.distill(
            Run(self.folder / "modules"), **{**self.inputs, "teacher": list(teachers)}
        )
        assert [fingerprint(one) for one in teachers] == before, "a teacher was changed"
        grads = [p.grad for one in teachers for p in one.parameters()]
        assert all(grad is None for grad in grads), "a teacher got a gradient"

    def product_survives_saving(self) -> None:
        """A product saved and loaded is the same, also when copied elsewhere."""
        assert self.product is not None
        again = load(self.folder / "first" / "product")
        assert type(again) is type(self.product)
        assert fingerprint(self._said(again)) == fingerprint(self._said(self.product))
        again.save(self.folder / "copy")
        assert self._sums("copy", "") == self._sums("first"), "saving again gave other bytes"

    def product_holds_what_predicts(self) -> None:
        """Nothing that only taught is in the product, and no file holds a path or a time."""
        content = b"".join(
            path.read_bytes()
            for path in sorted((self.folder / "first" / "product").rglob("*"))
            if path.is_file()
        )
        assert self.product is not None
        assert str(self.folder).encode() not in content, "the product holds a path"
        network = getattr(self.product, "network", None)
        if network is not None:
            size = sum(t.numel() * t.element_size() for t in network.state_dict().values())
            assert len(content) < size + 20_000, "the product is larger than its network"
            place = self.folder / "exported"
            exported = self.product.export(place, to="safetensors")
            assert exported["bytes"] < size + 20_000, "the export is larger than its network"
            tensors, _ = load_tensors(place / "network.safetensors")
            assert set(tensors) == set(network.state_dict()), "the export holds other tensors"

    def bad_input_is_refused(self) -> None:
        """Wrong classes, empty data, NaN and other shapes raise an error that speaks."""
        cases: dict[str, Callable[[], dict[str, Any]]] = {
            "no samples": lambda: {"data": from_arrays(np.zeros((0, 1, 8, 8)), np.zeros(0, int))},
            "NaN inputs": lambda: {"data": self._arrays(nan=True)},
            "unknown data": lambda: {"data": "there-is-no-such-set"},
            "unknown input": lambda: {"tutor": 1},
        }
        if "teacher" in self.card.takes:
            cases["zero teachers"] = lambda: {"teacher": []}
        if self.own is not None:
            cases |= self.own.bad_inputs(self.data)
        elif "teacher" in self.card.takes:
            cases |= {
                "a teacher of other classes": lambda: {"teacher": self._modules(outputs=3)},
                "a teacher for another size": lambda: {"teacher": self._modules(size=(5, 5))},
            }
        if "student" in self.card.takes and self.own is None:
            cases["a student of other classes"] = lambda: {"student": self._modules(outputs=3)[0]}
        for name, change in cases.items():
            place = self.folder / f"bad {name}"
            try:
                self.method.distill(Run(place), **{**self.inputs, **change()})
                raise AssertionError(f"{name}: nothing was raised")
            except LimbeckError as error:
                said = str(error)
            assert len(said) > 20, f"{name}: the error says only {said!r}"
            assert not place.exists(), f"{name}: left {sorted(place.rglob('*'))}"

    def _modules(
        self, outputs: int | None = None, size: tuple[int, ...] | None = None
    ) -> list[nn.Module]:
        if self.own is not None:
            return list(self.own.teachers(self.data))
        space = self.data.input_space
        if size is not None:
            space = InputSpace(size=size, channels=1)
        with keyed.torch_seeded(5):
            # Of the kinds that the preset names: a method may ask more of a teacher than logits.
            names = self.inputs.get("teacher", ["mlp?hidden=8"])
            made = [build(name, space, outputs or self.data.outputs) for name in names]
        return [copy.deepcopy(one) for one in made]

    def _arrays(self, nan: bool = False) -> Data:
        x = np.random.default_rng(0).random((60, 1, 8, 8)).astype(np.float32)
        if nan:
            x[7] = np.nan
        return from_arrays(x, np.arange(60) % 10)

    def _said(self, product: Any) -> Any:
        """What a product is for: what it says about samples, or the tensors that it holds."""
        if not hasattr(product, "outputs"):
            return product.tensors()
        batch = next(sequential(self.data, self.data.test, 64))
        return product.outputs(batch).read("logits")

    def _sums(self, name: str, product: str = "product") -> dict[str, str]:
        return json.loads((self.folder / name / product / MANIFEST).read_text())

    def _metrics(self, name: str) -> list[dict[str, Any]]:
        path = self.folder / name / "metrics.jsonl"
        # What trains nothing logs nothing.
        lines = path.read_text().splitlines() if path.exists() else []
        rows = [json.loads(line) for line in lines]
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


CHECKS = (
    "card_is_complete",
    "constructor_does_no_work",
    "repr_is_stable",
    "same_seed_same_result",
    "stopped_equals_uninterrupted",
    "teacher_stays_unchanged",
    "product_survives_saving",
    "product_holds_what_predicts",
    "bad_input_is_refused",
)


def check_method(slug: str, folder: Path) -> dict[str, str]:
    """Run the contract on a method.

    Args:
        slug: of the method.
        folder: for the runs.

    Returns:
        What failed as the card's ``expected_failures`` say it does, with the reason.

    Raises:
        AssertionError: a check failed that should not, or passed that was declared to fail.
    """
    contract = Contract(slug, folder)
    expected = contract.card.expected_failures
    for name in CHECKS:
        run_check(contract, name)
    return dict(expected)


def run_check(contract: Contract, name: str) -> None:
    """Run one check; a declared failure must fail.

    Raises:
        AssertionError: as `check_method`.
    """
    reason = contract.card.expected_failures.get(name)
    if reason is None:
        getattr(contract, name)()
        return
    try:
        getattr(contract, name)()
    except AssertionError:
        return
    raise AssertionError(f"{name} holds although the card says it does not: {reason}")
