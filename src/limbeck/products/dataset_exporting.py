"""Exporting a synthetic dataset: pictures in folders, a Hugging Face folder, exact numbers."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import limbeck
from limbeck import files
from limbeck.data.layouts import LABELS
from limbeck.errors import ArgumentError
from limbeck.fingerprint import fingerprint
from limbeck.products.dataset_card import dataset_card
from limbeck.products.export_folder import check_known, check_place, write_export
from limbeck.products.model_card import Origin
from limbeck.products.synthetic_dataset import SyntheticDataset

SIDECAR = "dataset.json"
PARQUET = "data/train-00000-of-00001.parquet"
Writer = Callable[[SyntheticDataset, Path, dict[str, Any], Origin], None]


def export(
    small: SyntheticDataset, dir: str | Path, *, to: str, origin: Origin | None = None
) -> dict[str, Any]:
    """Write a set as `SyntheticDataset.export` describes it.

    Args:
        small: the set.
        dir: the folder; an export of the same set in the same format is replaced.
        to: one of `FORMATS`.
        origin: the run that the set comes from.

    Returns:
        ``format``, ``folder``, ``files`` (their names) and ``bytes``.

    Raises:
        ArgumentError: the format is unknown, or the images are no pictures.
        RunError: the folder holds something else or cannot be written.
    """
    check_known(to, FORMATS, "synthetic dataset")
    facts = describe(small) | {"format": to, "fingerprint": fingerprint(small.tensors())}
    check_place(Path(dir), facts, SIDECAR, "synthetic dataset")
    return write_export(
        dir, facts, SIDECAR, lambda part: FORMATS[to](small, part, facts, origin or Origin())
    )


def describe(small: SyntheticDataset) -> dict[str, Any]:
    """What is in a set, in plain values.

    Example:
        >>> import torch
        >>> from limbeck import InputSpace
        >>> space = InputSpace((8, 8), channels=1)
        >>> small = SyntheticDataset(torch.zeros(1, 1, 8, 8), torch.zeros(1), space, ("a",))
        >>> describe(small)["shape"]
        [1, 1, 8, 8]
    """
    space, zca = small.space, small.zca
    read = "(pixels - mean) / std, channel by channel" if space.mean or space.std else "pixels"
    if zca is not None:
        read = (
            "(x - mean) @ vectors @ diag(1 / sqrt(values + eps)) @ vectors.T on flattened images x "
            "with values brought to 0 to 1, and the tensors zca.* of the safetensors export"
        )
    return {
        "limbeck": limbeck.__version__,
        "name": small.name,
        "task": "classification",
        "labels": list(small.classes),
        "images": len(small.images),
        "shape": list(small.images.shape),
        "range": list(space.range),
        "soft_labels": small.label_logits is not None,
        "replayed_labels": _replayed(small),
        "learning_rate": small.step_size,
        "transform": {
            "networks_read": read,
            "mean": list(space.mean) if zca is None else "zca.mean",
            "std": list(space.std) if zca is None else [],
            "eps": None if zca is None else float(zca.eps),
        },
        "bytes": small.bytes(),
    }


def _replayed(small: SyntheticDataset) -> dict[str, Any] | None:
    """What is labelled batch by batch, which only the exact numbers bring along."""
    if small.replayed is None:
        return None
    about = small.replayed.about
    return {
        "batches": about.steps,
        "batch_size": about.batch_size,
        "seed": about.seed,
        "bytes": small.replayed.bytes,
        "soft": small.replayed.soft,
    }


def _safetensors(
    small: SyntheticDataset, part: Path, facts: dict[str, Any], origin: Origin
) -> None:
    small.write(part)


def _folder(small: SyntheticDataset, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    pictures = _pictures(small, facts)
    places = folder_names(small.classes)
    digits = len(str(len(pictures) - 1))
    soft = None if small.label_logits is None else small.label_logits.double().softmax(1)
    content = io.StringIO()
    rows = csv.writer(content, lineterminator="\n")
    shares = [] if soft is None else [f"probability of {name}" for name in small.classes]
    rows.writerow(["file", "class", *shares])
    for place, (picture, label) in enumerate(zip(pictures, small.labels.tolist(), strict=True)):
        name = f"{places[label]}/{place:0{digits}}.png"
        files.write_bytes(part / name, picture)
        told = [] if soft is None else [f"{share:.6g}" for share in soft[place].tolist()]
        rows.writerow([name, small.classes[label], *told])
    files.write_text(part / LABELS, content.getvalue())


def _hub(small: SyntheticDataset, part: Path, facts: dict[str, Any], origin: Origin) -> None:
    import pyarrow
    import pyarrow.parquet

    pictures = _pictures(small, facts)
    digits = len(str(len(pictures) - 1))
    columns: dict[str, Any] = {
        "image": pyarrow.array(
            [{"bytes": one, "path": f"{n:0{digits}}.png"} for n, one in enumerate(pictures)],
            pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())]),
        ),
        "label": pyarrow.array(small.labels.tolist(), pyarrow.int64()),
    }
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(small.classes), "_type": "ClassLabel"},
    }
    if small.label_logits is not None:
        kind = pyarrow.list_(pyarrow.float32())
        columns["label_logits"] = pyarrow.array(small.label_logits.tolist(), kind)
        value = {"dtype": "float32", "_type": "Value"}
        features["label_logits"] = {"feature": value, "_type": "Sequence"}
    told = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pyarrow.table(columns).replace_schema_metadata(told)
    content = io.BytesIO()
    pyarrow.parquet.write_table(table, content)
    files.write_bytes(part / PARQUET, content.getvalue())
    files.write_text(part / "README.md", dataset_card(facts, origin))


FORMATS: dict[str, Writer] = {"folder": _folder, "hf": _hub, "safetensors": _safetensors}


def _pictures(small: SyntheticDataset, facts: dict[str, Any]) -> list[bytes]:
    """PNG files of all images; the facts tell how much they leave out."""
    if small.space.channels not in (1, 3):
        raise ArgumentError(
            f"pictures have 1 or 3 channels and the images have {small.space.channels}; export "
            "them --to safetensors"
        )
    from PIL import Image

    facts["clipped"] = small.clipped()
    encoded = []
    for one in small.pictures():
        content = io.BytesIO()
        Image.fromarray(one.squeeze(2) if one.shape[2] == 1 else one).save(content, "PNG")
        encoded.append(content.getvalue())
    return encoded


def folder_names(classes: Sequence[str]) -> list[str]:
    """Names of folders for classes: the names themselves where a file system takes them.

    Example:
        >>> folder_names(["T-shirt/top", "bag"])
        ['T-shirt-top', 'bag']
    """
    names: list[str] = []
    for place, name in enumerate(classes):
        plain = re.sub(r'[\x00-\x1f/\\:*?"<>|]', "-", name).strip(". ")
        taken = {one.lower() for one in names}
        names.append(
            plain if plain and plain.lower() not in taken else f"{place}-{plain or 'class'}"
        )
    return names
