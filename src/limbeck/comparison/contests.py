"""Contest: who is compared on what, and how every entry gets the same frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from limbeck import cards, catalogue
from limbeck.errors import RunError, SettingsError, nearest
from limbeck.experiment import RESULT
from limbeck.naming import missing_inputs
from limbeck.plain import merge, to_plain, unworded, worded
from limbeck.run.folder import read_identity

ALONE, REFERENCE = "none", "kd"
INPUTS = ("teacher", "student", "data")
# Settings that every entry takes from the first method, so that all learn from the same.
FRAME = ("batch_size", "teaching")


@dataclass(frozen=True)
class Entry:
    """One who takes part.

    Args:
        name: as given: a method, ``none``, or ``kd:LOSS``.
        method: slug of the method that is run.
        settings: of the method, differences from its defaults.
        alone: whether the method's baseline takes part and not its product.
    """

    name: str
    method: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False

    @property
    def place(self) -> str:
        """Name of its folder; no method has an underscore in its name."""
        return self.name.replace(":", "_")


@dataclass(frozen=True)
class Contest:
    """What is compared, in plain values.

    Args:
        name: of the comparison, a word.
        entries: who takes part.
        inputs: names of teacher, student and data.
        steps: optimiser steps of the student in all phases together, the same for every entry.
        seeds: one run each for every entry.
        options: how to compute: fields of `limbeck.run.run.Options`.
    """

    name: str
    entries: tuple[Entry, ...]
    inputs: Mapping[str, Any]
    steps: int
    seeds: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lead(self) -> Entry:
        """The first entry that is a method: the teachers are trained with its settings."""
        return next(entry for entry in self.entries if not entry.alone)

    def identity(self) -> dict[str, Any]:
        """The contest as tables of a settings file."""
        return {
            "comparison": {"name": self.name, "steps": self.steps, "seeds": list(self.seeds)},
            "inputs": worded(self.inputs),
            "options": {name: self.options[name] for name in RESULT if name in self.options},
            "entries": {
                entry.name: {"method": entry.method, "settings": worded(entry.settings)}
                for entry in self.entries
            },
        }

    @classmethod
    def read(cls, folder: Path, options: Mapping[str, Any]) -> Contest:
        """Read the contest that a folder was begun with.

        Args:
            folder: of a comparison.
            options: how to compute now: those that do not change the result.

        Raises:
            RunError: the folder holds none.
        """
        facts = read_identity(folder)
        if "comparison" not in facts:
            raise RunError(f"{folder} holds no comparison")
        entries = [
            Entry(name, one["method"], unworded(one["settings"]), name == ALONE)
            for name, one in facts["entries"].items()
        ]
        return cls(
            facts["comparison"]["name"],
            tuple(entries),
            unworded(facts["inputs"]),
            facts["comparison"]["steps"],
            tuple(facts["comparison"]["seeds"]),
            {**options, **facts["options"]},
        )


def contest(
    names: Sequence[str],
    *,
    name: str = "entries",
    preset: str | None = None,
    inputs: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    steps: int | None = None,
    seeds: Sequence[int] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Contest:
    """Make every entry's settings from a preset, with the frame of the first method for all.

    Teachers and how they are trained, the student, the data, the batch size, the steps and the
    seeds are those of the first method's preset unless they are given. A method with several
    phases shares the steps out in the proportion of its own settings.

    Args:
        names: at least two entries: ``none`` (the student alone), a method, or ``kd:LOSS`` with a
            name of ``limbeck list --losses``.
        name: of the comparison, a word.
        preset: ready-made settings, one of that name for every method; None starts from defaults.
        inputs: names of teacher, student and data, in place of the preset's.
        changes: settings for every entry that has them; below the name of an entry, for it alone.
        steps: optimiser steps of the student in all phases together.
        seeds: one run each for every entry.
        options: how to compute.

    Returns:
        The contest.

    Raises:
        SettingsError: an entry, a preset or a setting is unknown (the nearest is suggested), a
            method cannot be compared, an input is missing, or the steps cannot be shared out.
    """
    entries = [_entry(one) for one in names]
    twice = sorted({one for one in names if list(names).count(one) > 1})
    if twice or len(entries) < 2 or all(entry.alone for entry in entries):
        said = f"{', '.join(twice)} twice" if twice else ", ".join(names) or "nothing"
        raise SettingsError(
            f"compare got {said}; expected two or more different entries, a method among them, "
            "such as none,kd,kd:dkd"
        )
    common, own = _split(changes or {}, entries)
    bases = {
        entry.method: cards.preset(entry.method, preset) if preset else {} for entry in entries
    }
    lead = next(entry for entry in entries if not entry.alone)
    base = bases[lead.method]
    given = {**base.get("inputs", {}), **(inputs or {})}
    if missing := missing_inputs(INPUTS, {name: one for name, one in given.items() if one}):
        words = " ".join(f"--{one} NAME" for one in missing)
        raise SettingsError(f"compare needs {', '.join(INPUTS)}; add {words} or a --preset")
    made = method_of(lead, merge(base.get("settings", {}), _fitting(lead, common)))
    frame = {one: to_plain(getattr(made, one)) for one in FRAME if hasattr(made, one)}
    total = steps or sum(_phases(lead, made).values())
    settled = []
    for entry in entries:
        settings = merge(bases[entry.method].get("settings", {}), entry.settings)
        settings = {**settings, **_fitting(entry, frame)}
        settings = merge(merge(settings, _fitting(entry, common)), own.get(entry.name, {}))
        phases = _phases(entry, method_of(entry, settings))
        shares = _shared_out(entry, phases, own.get(entry.name, {}), total)
        settings = {**settings, **shares}
        method_of(entry, settings)
        settled.append(Entry(entry.name, entry.method, settings, entry.alone))
    chosen = tuple(seeds if seeds is not None else range(base.get("seeds", 1)))
    return Contest(name, tuple(settled), given, total, chosen, options or {})


def _entry(name: str) -> Entry:
    """Read the name of an entry; what it needs is checked without importing it."""
    if name == ALONE:
        return Entry(ALONE, REFERENCE, alone=True)
    slug, colon, loss = name.partition(":")
    if slug not in cards.slugs():
        raise SettingsError(f"there is no entry {name!r}; {nearest(slug, [ALONE, *cards.slugs()])}")
    card = cards.card(slug)
    if set(card.takes) != set(INPUTS) or card.gives != "Student":
        raise SettingsError(
            f"{slug} takes {', '.join(card.takes)} and gives {card.gives}; compare is for methods "
            f"that take {', '.join(INPUTS)} and give a Student"
        )
    if not colon:
        return Entry(name, slug)
    if not any(setting.name == "loss" for setting in cards.settings_of(slug)):
        raise SettingsError(f"{slug} has no setting loss, so {name} is none of its kinds; use kd:")
    if not catalogue.loss_for_outputs(loss).teacher:
        raise SettingsError(f"loss {loss!r} reads no teacher: as an entry it is none")
    return Entry(name, slug, {"loss": loss})


def _split(
    changes: Mapping[str, Any], entries: Sequence[Entry]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is changed for all and what for one, with a word on what cannot differ."""
    names = {entry.name for entry in entries}
    common = {name: value for name, value in changes.items() if name not in names}
    own = {name: value for name, value in changes.items() if name in names}
    for name, value in own.items():
        if not isinstance(value, Mapping):
            raise SettingsError(f"--set {name}={value}: {name} is an entry; add .NAME=VALUE to it")
        if "teaching" in value:
            raise SettingsError(f"--set {name}.teaching: teachers are shared; drop {name}.")
    if "steps" in common:
        raise SettingsError("--set steps: entries share the total; use --steps, or ENTRY.steps")
    known = {one.name for entry in entries for one in cards.settings_of(entry.method)}
    for name in common:
        if name not in known:
            raise SettingsError(f"no entry has a setting {name!r}; {nearest(name, known | names)}")
    return common, own


def _fitting(entry: Entry, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some settings that an entry's method has."""
    known = {one.name for one in cards.settings_of(entry.method)}
    return {name: value for name, value in settings.items() if name in known}


def method_of(entry: Entry, settings: Mapping[str, Any]) -> Any:
    """The entry's method with some settings."""
    return cards.load_class(entry.method)(**settings)


def _phases(entry: Entry, method: Any) -> dict[str, int]:
    names = cards.card(entry.method).phases
    unknown = [name for name in names if not hasattr(method, name)]
    if unknown:
        raise SettingsError(
            f"{entry.name} counts no optimiser steps ({', '.join(unknown)} is no setting of "
            f"{entry.method}), so it cannot be compared at equal steps"
        )
    return {name: getattr(method, name) for name in names}


def _shared_out(
    entry: Entry, phases: Mapping[str, int], fixed: Mapping[str, Any], total: int
) -> dict[str, int]:
    """Share steps out among phases in their proportion; what is fixed stays."""
    kept = {name: count for name, count in phases.items() if name in fixed}
    free = {name: count for name, count in phases.items() if name not in fixed and count}
    rest, whole = total - sum(kept.values()), sum(free.values())
    shares, passed = dict(kept), 0
    for name, count in free.items():
        begun = passed * rest // whole
        passed += count
        shares[name] = passed * rest // whole - begun
    for name in free:
        largest = max(free, key=lambda one: shares[one])
        if shares[name] == 0 and shares[largest] > 1:
            shares[name], shares[largest] = 1, shares[largest] - 1
    if sum(shares.values()) != total or min(shares[name] for name in free or kept) < 1:
        raise SettingsError(
            f"{entry.name} cannot share {total} steps out among {', '.join(phases)}"
            + (f" with {kept}" if kept else "")
            + ": change --steps or what --set fixes"
        )
    return {name: shares.get(name, 0) for name in phases}
