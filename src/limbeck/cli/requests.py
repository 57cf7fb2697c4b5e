"""The options that say what to run, and the request they make, for every verb that takes them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from limbeck import cards
from limbeck.cli import completing
from limbeck.errors import SettingsError
from limbeck.experiment import Request
from limbeck.naming import missing_inputs
from limbeck.plain import merge, parse_assignments
from limbeck.run.choices import EXECUTOR_VARIABLE

MAIN_JOB = "meal-v2"

Preset = Annotated[
    str | None,
    typer.Option(
        help="Ready-made settings; demo, on embedded data, unless --data is given.",
        autocompletion=completing.presets,
    ),
]
Teacher = Annotated[
    list[str] | None,
    typer.Option(
        help="A teacher by name; repeat for several: timm:resnet18, sklearn:random-forest, "
        "file:W?network=N, file:M.skops."
    ),
]
Student = Annotated[
    str | None,
    typer.Option(help="The student by name, such as mlp?hidden=32, or shortlist:RUN of a search."),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="Data by name: digits, folder:, csv:, jsonl:, parquet:, npz:, oof: (predictions of "
        "models), beir: (a corpus for search), xyz: (frames of atoms), "
        "tu: (labelled graphs), or of the data root."
    ),
]
Outside = Annotated[
    str | None,
    typer.Option(
        help="Data by name whose test split holds samples of other kinds, for tables that tell how "
        "well these are told apart (window-early-exit)."
    ),
]
Liquid = Annotated[
    str | None,
    typer.Option(
        help="Box that dynamics of a force field start from: xyz:FILE, or a molecule of the data "
        "by its formula, such as H2O?count=32 (bamboo)."
    ),
]
Space = Annotated[
    str | None,
    typer.Option(
        help="Students to choose from: resnet-s1, nas-bench-201, or a name with choices in braces, "
        "such as 'mlp?hidden={64,128}' (diswot)."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting: NAME=VALUE; repeat for several."),
]
Seed = Annotated[int | None, typer.Option(help="First seed; alone, the only one.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="How many seeds to run.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Optimiser steps; short for --set steps=N.")]
Epochs = Annotated[
    float | None, typer.Option(help="Passes over the training samples, instead of --steps.")
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Samples a step; short for --set batch_size=N.")
]
TeacherSteps = Annotated[
    int | None, typer.Option(min=0, help="Steps that a named teacher is trained for.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
Threads = Annotated[
    int, typer.Option(min=1, help="Threads a job uses; part of what same bits means.")
]
Workers = Annotated[int, typer.Option(min=0, help="Processes that read data ahead.")]
Devices = Annotated[
    int, typer.Option(min=1, help="How many devices compute one run together, a process each.")
]
Strategy = Annotated[
    str,
    typer.Option(help="With --devices: ddp copies every model to each, fsdp cuts models over all."),
]
Precision = Annotated[
    str, typer.Option(help="32-true, bf16-mixed, 16-mixed, bf16-true, 16-true or 64-true.")
]
Executor = Annotated[
    str,
    typer.Option(
        envvar=EXECUTOR_VARIABLE,
        help="Where jobs run: local (processes), serial, ray, or ray://HOST:PORT.",
    ),
]
Tracker = Annotated[
    list[str] | None,
    typer.Option(help="Show rows in tensorboard, mlflow or wandb too; repeat for several."),
]

PLAIN = "32-true"
OPTIONS = ("threads", "device", "workers", "strategy", "precision", "executor")


@dataclass(frozen=True)
class Typed:
    """What a person typed, as the options above hold it."""

    method: str
    preset: str | None
    teacher: Sequence[str] | None
    student: str | None
    data: str | None
    set_: Sequence[str] | None
    seed: int | None
    seeds: int | None
    steps: int | None
    epochs: float | None
    batch_size: int | None
    teacher_steps: int | None
    device: str
    threads: int
    workers: int
    strategy: str = "ddp"
    precision: str = PLAIN
    executor: str = "local"
    tracker: Sequence[str] | None = None
    outside: str | None = None
    liquid: str | None = None
    space: str | None = None

    def request(self) -> Request:
        """Make the request.

        Raises:
            SettingsError: an input is missing or unknown, or two options contradict each other.
        """
        card = cards.card(self.method)
        base: Mapping[str, Any] = cards.preset(self.method, self._chosen) if self._chosen else {}
        inputs = dict(base.get("inputs", {}))
        inputs |= {name: value for name, value in self._given.items() if value is not None}
        known = (*card.takes, *card.optional)
        unknown = [name for name in inputs if name not in known]
        if unknown:
            raise SettingsError(f"{self.method} takes {', '.join(known)}, not {', '.join(unknown)}")
        if missing := missing_inputs(card.takes, inputs):
            words = " ".join(f"--{name} NAME" for name in missing)
            raise SettingsError(f"{self.method} needs {', '.join(card.takes)}; add {words}")
        changes = merge(
            _at_home(self._short, card.phases),
            {} if self.teacher_steps is None else {"teaching": {"steps": self.teacher_steps}},
        )
        changes = merge(changes, parse_assignments(self.set_ or []))
        settings = merge(base.get("settings", {}), changes)
        # A slip is told before anything is imported that takes seconds.
        cards.check_settings(self.method, settings)
        if self.epochs is not None:
            if "steps" in changes:
                raise SettingsError("--epochs and --steps are both given; choose one")
            settings = _with_epochs(self.method, settings, inputs, self.epochs)
        first = self.seed or 0
        count = self.seeds or (1 if self.seed is not None else base.get("seeds", 1))
        return Request(
            method=self.method,
            settings=settings,
            inputs=inputs,
            seeds=tuple(range(first, first + count)),
            options=self._options,
        )

    def command(self) -> str:
        """The words that make the same request again, for the record of a run."""
        words = ["limbeck run", self.method]
        words += [f"--preset {self._chosen}"] if self._chosen else []
        words += [
            f"--{name} {shlex.quote(one)}"
            for name, value in self._given.items()
            for one in _several(value)
        ]
        numbers = {
            **self._short,
            "teacher-steps": self.teacher_steps,
            "epochs": self.epochs,
            "seeds": self.seeds,
        }
        words += [
            f"--{name.replace('_', '-')} {value}"
            for name, value in numbers.items()
            if value is not None
        ]
        words += [f"--set {one}" for one in self.set_ or []]
        return " ".join(words)

    @property
    def _options(self) -> dict[str, Any]:
        options = {name: getattr(self, name) for name in OPTIONS}
        options["trackers"] = tuple(self.tracker or ())
        if self.precision == PLAIN:
            # Written down it would make a run begun without the option another run.
            del options["precision"]
        return options

    @property
    def _chosen(self) -> str | None:
        return self.preset or ("demo" if self.data is None else None)

    @property
    def _given(self) -> dict[str, Any]:
        teacher = list(self.teacher or []) or None
        named = {"student": self.student, "data": self.data}
        named |= {"outside": self.outside, "liquid": self.liquid, "space": self.space}
        return {"teacher": teacher, **named}

    @property
    def _short(self) -> dict[str, int | None]:
        return {"steps": self.steps, "batch_size": self.batch_size}


def _at_home(short: Mapping[str, int | None], phases: Sequence[str]) -> dict[str, Any]:
    """Short options as settings, in the table that a method keeps its steps in.

    Example:
        >>> _at_home({"steps": 5, "batch_size": None}, ("matching.steps",))
        {'matching': {'steps': 5}}
    """
    given = {name: value for name, value in short.items() if value is not None}
    table = phases[0].rpartition(".")[0] if len(phases) == 1 else ""
    return {table: given} if table and given else given


def _several(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def _with_epochs(
    method: str, settings: Mapping[str, Any], inputs: Mapping[str, Any], epochs: float
) -> dict[str, Any]:
    import math

    from limbeck.data.names import resolve

    if not 0 < epochs < math.inf:
        raise SettingsError(f"--epochs is {epochs}, expected a finite number above 0")
    if "student" not in cards.card(method).takes:
        raise SettingsError(
            f"--epochs counts how often a student sees the training samples, and {method} trains "
            "none; give --steps"
        )
    made, samples = cards.load_class(method)(**settings), len(resolve(inputs["data"]).train)
    # A loader never takes more samples a step than there are.
    return {**settings, "steps": math.ceil(epochs * samples / min(made.batch_size, samples))}
