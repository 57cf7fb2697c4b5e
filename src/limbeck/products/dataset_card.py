"""Dataset card: the page of an exported synthetic dataset: how it loads, what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from limbeck.naming import without_place
from limbeck.products.model_card import Origin, measured

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))
LOAD = """from datasets import load_dataset

train = load_dataset("parquet", data_dir="data", split="train")"""


def dataset_card(facts: Mapping[str, Any], origin: Origin) -> str:
    """Write the page.

    Args:
        facts: as `limbeck.products.dataset_exporting.describe` gives them, with ``clipped``.
        origin: what was measured, and where the set comes from.

    Returns:
        Markdown behind the header that hubs of data sets read.
    """
    size = next((word for most, word in SIZES if facts["images"] < most), "100K<n<1M")
    tags = ["limbeck", "dataset-distillation", *filter(None, [origin.method])]
    data = without_place(origin.data)
    title = f"{data or facts['name']} in {facts['images']:,} images"
    head = [
        "---",
        f"pretty_name: {json.dumps(title)}",
        "task_categories: [image-classification]",
        f"size_categories: [{json.dumps(size)}]",
        f"tags: [{', '.join(tags)}]",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*",
        "---",
    ]
    parts = [
        "\n".join(head),
        f"# {title}",
        _sentence(facts, origin),
        f"## Load it\n\n```python\n{LOAD}\n```\n\nThe lines run in this folder; elsewhere it is "
        '`load_dataset(PLACE, split="train")` with the folder\'s path or its name on a hub.',
        "## What is in it\n\n" + "\n".join(f"- {line}" for line in _lines(facts)),
    ]
    if origin.rows:
        parts.append(
            "## Measured\n\n"
            + measured(origin, "networks trained on each set alone, accuracy in percent", "set")
        )
    return "\n\n".join(parts) + "\n"


def _sentence(facts: Mapping[str, Any], origin: Origin) -> str:
    how = f" by {origin.title} ({origin.paper})" if origin.title else ""
    what = f" of `{without_place(origin.data)}`" if origin.data else ""
    return (
        f"A synthetic training set{what}, distilled{how} with limbeck {facts['limbeck']}: train a "
        "network on these images alone, test it on the real ones."
    )


def _lines(facts: Mapping[str, Any]) -> list[str]:
    count, channels, height, width = facts["shape"]
    kind = "grey" if channels == 1 else "colour"
    lines = [
        f"`image`: {count:,} {kind} pictures of {height} by {width} pixels, as people see them.",
        f"`label`: {len(facts['labels'])} classes.",
    ]
    if facts["soft_labels"]:
        lines.append(
            "`label_logits`: soft labels; train with the cross-entropy to their softmax instead of "
            "`label`."
        )
    replayed = facts["replayed_labels"]
    if replayed is not None:
        lines.append(
            f"The set was made with labels for {replayed['batches']:,} augmented batches of "
            f"{replayed['batch_size']} images, {replayed['bytes']:,} bytes: they are in the "
            "safetensors export, and what was measured was learned from them."
        )
    transform = facts["transform"]
    if transform["eps"] is None:
        statistics = f"mean {transform['mean']}, standard deviation {transform['std']}"
        has = bool(transform["mean"] or transform["std"])
        read = f"normalised by {statistics}" if has else "as they are"
    else:
        read = "ZCA-whitened; the whitening is in the safetensors export"
    low, high = facts["range"]
    lines.append(
        f"Networks read the images {read}, with pixels from {low:g} to {high:g}; real images are "
        "prepared the same way."
    )
    lines.append(
        f"The pictures have eight bits a value and cut {facts['clipped']:.1%} of the values off at "
        "the ends of the range; the exact numbers are in the safetensors export."
    )
    if facts["learning_rate"] is not None:
        rate = facts["learning_rate"]
        lines.append(f"Learning rate learnt with the images: {rate:.6g} (stochastic gradient).")
    return lines
