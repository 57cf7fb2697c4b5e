"""``limbeck sample``: samples of a run's generator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from limbeck.cli.speaking import Json, RunFolder, Verbose, emit, say
from limbeck.errors import SettingsError


def sample(
    folder: RunFolder,
    to: Annotated[
        Path,
        typer.Option(
            help="FILE.png (one picture of all), FILE.npy (the numbers), or a folder (a PNG file "
            "each, a sub-folder a class)."
        ),
    ],
    count: Annotated[int, typer.Option(min=1, help="How many.")] = 64,
    class_: Annotated[
        str | None, typer.Option("--class", help="Of this class alone; classes go round else.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
    verbose: Verbose = False,
    json_wanted: Json = False,
) -> None:
    """Make samples with a run's generator.

    The same seed makes the same samples, and more of them begin with those of fewer.

    \b
    Examples:
      limbeck sample runs/first --to samples.png
      limbeck sample runs/first --count 1000 --class 7 --to sevens
    """
    from limbeck.loading import load
    from limbeck.products import Generator
    from limbeck.products.sample_files import asked_for, write_samples

    product = load(folder)
    if not isinstance(product, Generator):
        raise SettingsError(
            f"{folder} holds no generator, and only those make samples; limbeck show METHOD tells "
            "what a method gives"
        )
    labels = asked_for(product, count, class_)
    written = write_samples(product, labels, to, seed)
    say(f"{count} samples: {to}", json_wanted=json_wanted)
    if json_wanted:
        names = [product.classes[label] for label in labels] if product.conditional else []
        emit({"run": str(folder), "to": str(to), "files": written, "classes": names, "seed": seed})
