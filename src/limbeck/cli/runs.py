"""``limbeck runs``: the run folders there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck import files
from limbeck.cli.speaking import Json, emit, say, table
from limbeck.evaluate.figures import MAIN, figure
from limbeck.experiment import TABLE, Request, is_finished, is_run


def runs(
    folder: Annotated[Path, typer.Argument(help="Folder that holds runs.")] = Path("runs"),
    json_wanted: Json = False,
) -> None:
    """List the runs in a folder, their state and their product's quality."""
    found = sorted(place for place in folder.glob("*") if is_run(place)) if folder.is_dir() else []
    lines: list[dict[str, Any]] = []
    for place in found:
        request = Request.read(place)
        done = is_finished(place)
        quality: dict[str, float] = {}
        rows = files.stored_json(place / TABLE) if done else None
        damaged = rows is None and (place / TABLE).exists()
        state = ("damaged" if damaged else "finished") if done else "unfinished"
        if rows is not None:
            quality = next(row["quality"] for row in rows if row["role"] == "product")
        lines.append(
            {
                "run": str(place),
                "method": request.method,
                "seeds": len(request.seeds),
                "state": state,
                "quality": quality,
            }
        )
    if not lines:
        say(f"no runs in {folder}; make one with: limbeck run", json_wanted=json_wanted)
    else:
        rows_shown = [
            (line["run"], line["method"], line["seeds"], line["state"], _main(line["quality"]))
            for line in lines
        ]
        table(("RUN", "METHOD", "SEEDS", "STATE", "QUALITY"), rows_shown, json_wanted=json_wanted)
    if json_wanted:
        emit({"runs": lines})


def _main(quality: dict[str, float]) -> str:
    name = next((name for name in MAIN if name in quality), None)
    if name is None:
        return ""
    told = f"{quality[name]:.3f}" if figure(name).share else f"{quality[name]:.4g}"
    return f"{name.replace('_', ' ')} {told}"
