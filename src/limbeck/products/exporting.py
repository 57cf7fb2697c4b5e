"""Exporting: a student alone, in a form that other programs read."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from limbeck import files
from limbeck.data.data import Data
from limbeck.errors import ArgumentError, CorruptFileError, RunError, nearest
from limbeck.fingerprint import fingerprint
from limbeck.networks.making import library
from limbeck.products.graphs import onnx, torch_export
from limbeck.products.hub import hub_folder
from limbeck.products.model_card import Origin
from limbeck.products.sidecar import SIDECAR, describe, text_classifier
from limbeck.products.student import FACTS, Student

ONNX_LIBRARIES = ("onnx", "onnxscript", "onnxruntime")
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
    folder = Path(dir).resolve()
    student = _alone(student)
    facts = describe(student) | {"format": to, "fingerprint": fingerprint(student.network)}
    _check_place(folder, facts)
    if data is not None and (origin is None or not origin.rows):
        rows = [student.measure(data)]
        origin = replace(origin or Origin(), rows=rows, data=data.name, seeds=())
    with files.new_folder(folder) as part:
        FORMATS[to](student, part, facts, origin)
        files.write_text(part / SIDECAR, json.dumps(facts, indent=1) + "\n")
    written = sorted(file for file in folder.rglob("*") if file.is_file())
    told = {name: facts[name] for name in ("largest_difference",) if name in facts}
    return {
        "format": to,
        "folder": str(dir),
        "files": [file.relative_to(folder).as_posix() for file in written],
        "bytes": sum(file.stat().st_size for file in written),
        **told,
    }


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
    if to not in FORMATS:
        raise ArgumentError(f"there is no format {to!r}; {nearest(to, FORMATS)}")
    if to == "onnx":
        for name in ONNX_LIBRARIES:
            library(name, "export")


def _check_place(folder: Path, facts: Mapping[str, Any]) -> None:
    """Refuse to write over, or into, what is no earlier export of the same student."""
    choose = "choose another folder with --out"
    if folder.is_file():
        raise RunError(f"{folder} is a file; {choose}")
    for above in folder.parents:
        checked = any((above / name).is_file() for name in (FACTS, SIDECAR))
        if checked and (above / files.MANIFEST).is_file():
            raise RunError(f"{folder} lies inside {above}, which is whole as it is; {choose}")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / SIDECAR).is_file() or any(folder.rglob(".*")):
        raise RunError(f"{folder} holds something else than an export; {choose}")
    try:
        files.check_folder(folder)
    except CorruptFileError as error:
        raise RunError(
            f"the export in {folder} was changed by hand ({error}); {choose}, or delete it"
        ) from None
    there = json.loads((folder / SIDECAR).read_text())
    for name, what in (("format", "another format"), ("fingerprint", "another student")):
        if there.get(name) != facts[name]:
            raise RunError(f"{folder} holds the export of {what}; {choose}, or delete it")
