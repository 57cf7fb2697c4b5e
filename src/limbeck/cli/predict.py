"""``limbeck predict``: what a run's product says about samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.speaking import DataRoot, Json, RunFolder, Verbose, emit, say, use_data_root
from limbeck.errors import SettingsError


def predict(
    folder: RunFolder,
    data: Annotated[
        str | None, typer.Option(help="Data by name; its test split is predicted.")
    ] = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="New samples without targets, in place of --data: a table (.csv, .jsonl, "
            ".parquet; with ?missing=mean or ?text=NAME behind it), a picture or a folder of "
            "pictures, an array (.npy), atoms (.xyz)."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write a CSV file instead of the first lines here.")
    ] = None,
    data_root: DataRoot = None,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Predict new samples, or the test split of some data, with a run's product."""
    use_data_root(data_root)
    if out is not None and out.suffix != ".csv":
        raise SettingsError(f"--out {out}: predictions are written as .csv")
    if (data is None) == (rows is None):
        raise SettingsError(
            "give --rows FILE for new samples, or --data NAME for the test split of some data"
        )
    import pandas as pd

    from limbeck import files
    from limbeck.loading import load

    product = load(folder)
    frame = pd.DataFrame(_predictions(product, data, rows))
    if out is not None:
        files.write_text(out, frame.to_csv(index=False))
        say(f"{len(frame)} predictions: {out}", json_wanted=json_wanted)
    else:
        say(frame.head(10).to_string(index=False), json_wanted=json_wanted)
        say(f"{len(frame)} samples; write all with --out FILE.csv", json_wanted=json_wanted)
    if json_wanted:
        asked = {"data": data} if rows is None else {"rows": rows}
        emit({"run": str(folder), **asked, "predictions": frame.to_dict(orient="list")})


def _predictions(product: Any, data: str | None, rows: str | None) -> dict[str, Any]:
    """Columns, one entry a sample."""
    from limbeck.data.names import resolve
    from limbeck.data.options import check_options
    from limbeck.data.rows import read_rows
    from limbeck.data.xyz_files import read_frames
    from limbeck.evaluate.quality import collect
    from limbeck.naming import split_name
    from limbeck.products import ForceField
    from limbeck.products.predictor import Predictor

    if isinstance(product, ForceField):
        return product.predictions(resolve(data) if rows is None else read_frames(Path(rows)))
    if not isinstance(product, Predictor):
        product.predict()
    if rows is not None:
        prefix, place, options = split_name(rows)
        check_options(read_rows, options)
        file = Path(f"{prefix}:{place}" if prefix else place)
        found = read_rows(file, product.input_space, **options)
        return {"id": found.ids, **product.table(product.logits(found.x))}
    seen = product.see(resolve(data))
    logits, _ = collect(product.outputs, seen, seen.test)
    return {"id": seen.test.ids, **product.table(logits)}
