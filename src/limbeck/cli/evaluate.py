"""``limbeck evaluate``: measure a run's product on data."""

from __future__ import annotations

from typing import Annotated

import typer

from limbeck.cli.results import quality_table
from limbeck.cli.speaking import DataRoot, Json, RunFolder, Verbose, emit, use_data_root
from limbeck.experiment import Request, is_run


def evaluate(
    folder: RunFolder,
    data: Annotated[
        str | None, typer.Option(help="Data by name; what the run was made from by default.")
    ] = None,
    data_root: DataRoot = None,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Measure quality and cost of a run's product on the test split of some data."""
    use_data_root(data_root)
    from limbeck.data.names import resolve
    from limbeck.errors import SettingsError
    from limbeck.loading import load

    product = load(folder)
    if data is None and not is_run(folder):
        raise SettingsError(f"{folder} is a product without its run; say on what: --data NAME")
    name = data or Request.read(folder).data
    found = resolve(name)
    row = product.measure(found)
    quality_table([row], json_wanted)
    if json_wanted:
        emit({"run": str(folder), "data": name, "rows": [row]})
