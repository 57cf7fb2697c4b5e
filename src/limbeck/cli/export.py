"""``limbeck export``: a run's product alone, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from limbeck import cards, files
from limbeck.cli.speaking import DataRoot, Json, RunFolder, Verbose, emit, say, use_data_root
from limbeck.errors import SettingsError
from limbeck.experiment import TABLE, Request, is_run
from limbeck.naming import spaced

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin

OF_A_CORPUS = ("opensearch", "csr")
NEEDS_A_CARD, HAS_A_CARD = "hf", ("hf", "diffusers")


def export(
    folder: RunFolder,
    to: Annotated[
        str,
        typer.Option(
            help="Of a student: safetensors (weights and facts), onnx, torch-export, or hf (a "
            "folder for a hub, with a card). Of a stack: safetensors, or onnx where all members "
            "are networks. Of a cascade: onnx (a graph a stage, which runs without torch), or "
            "safetensors. Of a synthetic dataset: folder (PNG files), hf, or safetensors (exact "
            "numbers). Of a generator: diffusers (a pipeline folder), onnx, or safetensors. Of a "
            "retriever: sentence-transformers, onnx (the document encoder), or of its documents "
            "opensearch (JSON lines of weighted tokens) or csr (SciPy). Of a shortlist: csv or "
            "json."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The folder; RUN/export/FORMAT by default.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data by name to measure on for a card, where the run has no table; of a "
            "retriever the corpus to encode, that of the run by default."
        ),
    ] = None,
    data_root: DataRoot = None,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Write a run's product alone: what others need to use it, no teacher.

      A student takes inputs before normalisation and gives logits, in batches of any size. onnx,
      torch-export and hf models of transformers are run beside the student: a difference above
      1e-4 (for regression, of the largest output) is an error.

      A stack becomes its members and the numbers that make them one, or one graph of networks.

      A cascade becomes its members and the windows between them, or a graph for each stage with
      the windows in a file beside.

      A synthetic dataset becomes pictures as people see them, or the exact numbers.

      A generator becomes its networks alone, or a folder that plain diffusers loads and samples
      with, run beside it too.

      \b
      Examples:
        limbeck export runs/first --to onnx
        limbeck export runs/first --to hf --out first-student
    limbeck export runs/small-set --to folder
    """
    use_data_root(data_root)
    from limbeck.loading import load
    from limbeck.products import SparseRetriever, Student

    product = load(folder)
    if out is None and not is_run(folder):
        raise SettingsError(f"{folder} is a product without its run; say where: --out FOLDER")
    place = out or folder / "export" / to
    origin = _origin(folder) if to in HAS_A_CARD else None
    if isinstance(product, Student):
        missing = to == NEEDS_A_CARD and (origin is None or not origin.rows)
        measured = _data(folder, data) if missing else None
        facts = product.export(place, to=to, data=measured, origin=origin)
    elif isinstance(product, SparseRetriever):
        corpus = _data(folder, data) if to in OF_A_CORPUS else None
        facts = product.export(place, to=to, data=corpus, origin=origin)
    else:
        facts = product.export(place, to=to, origin=origin)
    names = ", ".join(facts["files"])
    say(f"{to}: {facts['folder']} ({facts['bytes']:,} bytes)\n{names}", json_wanted=json_wanted)
    if "largest_difference" in facts:
        largest = facts["largest_difference"]
        told = f"largest difference from the {spaced(type(product).__name__)}: {largest:.2g}"
        say(told, json_wanted=json_wanted)
    if json_wanted:
        emit({"run": str(folder), **facts})


def _origin(folder: Path) -> Origin | None:
    """What the run folder says about its product."""
    from limbeck.products.model_card import Origin

    if not is_run(folder):
        return None
    request, table = Request.read(folder), folder / TABLE
    card = cards.card(request.method)
    return Origin(
        rows=files.read_json(table) if table.exists() else (),
        data=str(request.inputs.get("data", "")),
        method=card.slug,
        title=card.title,
        paper=card.paper,
        seeds=request.seeds,
    )


def _data(folder: Path, name: str | None) -> Any:
    """Data to measure on: what is named, or what the run was made from."""
    from limbeck.data.names import resolve

    given = name
    if given is None and is_run(folder):
        given = Request.read(folder).data
    if given is None or given.startswith("object:"):
        raise SettingsError(
            f"{folder} has no data of a name that could be read; say which to take: --data NAME"
        )
    return resolve(given)
