"""``limbeck predict``: what a run's product says about samples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.speaking import DataRoot, Json, RunFolder, Verbose, emit, say, use_data_root
from limbeck.errors import SettingsError


def predict(
    folder: RunFolder,
    data: Annotated[str, typer.Option(help="Data by name; its test split is predicted.")],
    out: Annotated[
        Path | None, typer.Option(help="Write a CSV file instead of the first lines here.")
    ] = None,
    data_root: DataRoot = None,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Predict the test split of some data with a run's product."""
    use_data_root(data_root)
    if out is not None and out.suffix != ".csv":
        raise SettingsError(f"--out {out}: predictions are written as .csv")
    import pandas as pd

    from limbeck import files
    from limbeck.data.names import resolve
    from limbeck.evaluate.quality import collect
    from limbeck.loading import load
    from limbeck.products import ForceField
    from limbeck.products.predictor import Predictor, decide

    product = load(folder)
    if not isinstance(product, (Predictor, ForceField)):
        product.predict()
    found = resolve(data)
    columns: dict[str, Any]
    if isinstance(product, ForceField):
        columns = product.predictions(found)
    else:
        seen = product.see(found)
        logits, _ = collect(product.outputs, seen, seen.test)
        predicted = decide(logits, product.task)
        columns = {"id": found.test.ids}
        if product.task == "classification":
            columns["class"] = [product.classes[place] for place in predicted.tolist()]
            columns["confidence"] = logits.softmax(-1).amax(-1).numpy().round(4)
        else:
            wide = predicted.reshape(len(predicted), -1)
            names = product.classes or [f"y{place}" for place in range(wide.shape[1])]
            columns |= {name: wide[:, place].numpy() for place, name in enumerate(names)}
    frame = pd.DataFrame(columns)
    if out is not None:
        files.write_text(out, frame.to_csv(index=False))
        say(f"{len(frame)} predictions: {out}", json_wanted=json_wanted)
    else:
        say(frame.head(10).to_string(index=False), json_wanted=json_wanted)
        say(f"{len(frame)} samples; write all with --out FILE.csv", json_wanted=json_wanted)
    if json_wanted:
        emit({"run": str(folder), "data": data, "predictions": frame.to_dict(orient="list")})
