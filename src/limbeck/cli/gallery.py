"""``limbeck gallery``: a site of many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.speaking import Json, Verbose, emit, say


def gallery(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs.")],
    out: Annotated[Path, typer.Option(help="The folder of the site.")] = Path("gallery"),
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Write a static site of finished runs: cards with pictures, each leading to its report."""
    from limbeck.report import write_gallery

    site = write_gallery(folders, out)
    for why in site.left_out.values():
        say(f"left out: {why}", json_wanted=json_wanted)
    say(f"gallery: {site.index}, {len(site.pages)} runs", json_wanted=json_wanted)
    if json_wanted:
        left_out = {str(folder): why for folder, why in site.left_out.items()}
        pages = [str(page) for page in site.pages]
        emit({"gallery": str(site.index), "pages": pages, "left_out": left_out})
