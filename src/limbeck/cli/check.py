"""``limbeck check``: test what a paper claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.speaking import (
    DataRoot,
    Json,
    MethodName,
    Quiet,
    Verbose,
    emit,
    say,
    use_data_root,
)
from limbeck.errors import SettingsError


def check(
    method: MethodName,
    claims: Annotated[str | None, typer.Option(help="Only these claims, such as 1,3.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the verdicts.")] = Path("results"),
    runs: Annotated[Path, typer.Option(help="Folder where runs are kept and reused.")] = Path(
        "runs/check"
    ),
    data_root: DataRoot = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Test a method's claims over five seeds and write the verdicts; a miss is shown as a miss."""
    use_data_root(data_root)
    from limbeck.claims import check as test_claims

    try:
        only = [int(number) for number in claims.split(",")] if claims else None
    except ValueError:
        raise SettingsError(f"--claims {claims!r}: expected numbers such as 1,3") from None
    entries = test_claims(method, runs / method, out, only=only, quiet=quiet)
    for entry in entries:
        mark = "held    " if entry["held"] else "not held"
        say(f"{entry['claim']}. {mark} {entry['text']}", json_wanted=json_wanted)
        for name, value in entry["figures"].items():
            say(f"     {name}: {value}", json_wanted=json_wanted)
    say(f"verdicts: {out / f'{method}.json'}", json_wanted=json_wanted)
    if json_wanted:
        keys = ("claim", "held", "figures")
        emit({"method": method, "claims": [{key: e[key] for key in keys} for e in entries]})
