"""Exporting: a student alone, in a form that other programs read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck.data.data import Data
from limbeck.fingerprint import fingerprint
from limbeck.networks.making import library
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.graphs import ONNX_LIBRARIES, onnx, torch_export
from limbeck.products.hub import hub_folder
from limbeck.products.model_card import Origin
from limbeck.products.sidecar import SIDECAR, describe, text_classifier
from limbeck.products.student import Student

Writer = Callable[[Student, Path, dict[str, Any], Origin | None], None]


def export(
    student: Student,
    dir: str | Path,
    *,
    to: str,
    data: Data | None = None,
    origin: Origin | None = None,
) -> dict[str, Any]:
    """Write a student as `Student.export` describes it.

    Args:
        student: it is not changed.
        dir: the folder; an export of the same student in the same format is replaced.
        to: one of `FORMATS`.
        data: to measure the student on for a model card, where no run did.
        origin: the run that the student comes from.

    Returns:
        ``format``, ``folder``, ``files`` (their names), ``bytes``, and ``largest_difference``
        where the written form was run beside the student.

    Raises:
        ArgumentError: the format is unknown, or a model card has no figures to show.
        ModelError: a library is missing, the network has no such form, or the form differs.
        RunError: the folder holds something else or cannot be written.
    """
    check_format(to)
    student = _alone(student)
    facts = describe(student) | {"format": to, "fingerprint": fingerprint(student.network)}
    check_place(Path(dir), facts, SIDECAR, "student")
    if data is not None and (origin is None or not origin.rows):
        rows = [student.measure(data)]
        origin = replace(origin or Origin(), rows=rows, data=data.name, seeds=())
    told = write_export(dir, facts, SIDECAR, lambda part: FORMATS[to](student, part, facts, origin))
    return told | {name: facts[name] for name in ("largest_difference",) if name in facts}


def _alone(student: Student) -> Student:
    """A copy on the CPU: what an exporter changes on the way does not reach the user's network."""
    alone = copy.copy(student)
    alone.network = copy.deepcopy(student.network).cpu().eval()
    text = text_classifier(alone.network)
    if text is not None and text.tokenizer is not None:
        # Whoever reads the tokenizer elsewhere cuts texts where the student does.
        text.tokenizer.model_max_length = text.length
    return alone


def _safetensors(
    student: Student, part: Path, facts: Mapping[str, Any], origin: Origin | None
) -> None:
    student.write(part)


FORMATS: dict[str, Writer] = {
    "safetensors": _safetensors,
    "onnx": onnx,
    "torch-export": torch_export,
    "hf": hub_folder,
}


def check_format(to: str) -> None:
    """Raise unless a format is known and what it needs is installed.

    Raises:
        ArgumentError: it is unknown.
        ModelError: a library is missing.
    """
    check_known(to, FORMATS, "student")
    if to == "onnx":
        for name in ONNX_LIBRARIES:
            library(name, "export")
