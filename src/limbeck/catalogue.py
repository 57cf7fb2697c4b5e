"""Catalogue: which loss is for what one has, read from the source without importing torch."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from limbeck.errors import SettingsError, nearest

FUNCTIONAL = Path(__file__).parent / "functional"
# What a model can give, in the order in which a page shows it.
OUTPUTS = (
    "logits", "probabilities", "top-k", "numbers", "scores", "ranks", "features", "attention",
    "token logits", "layer costs", "discriminator outputs", "samples", "denoised samples",
    "denoiser outputs", "energies and forces", "virials",
)  # fmt: skip
LABELS = (
    "class labels", "label logits", "label sets", "target numbers", "relevance grades",
    "marked positives", "ordered pairs", "clean samples", "partly noised samples",
    "energies and forces", "pressure changes",
)  # fmt: skip
# How losses between features become an objective: the text, and the paths that it asks for.
TERM = "Term({name!r}, {call}, student='features.PATH', teacher='features.PATH'{options})"
OBJECTIVES = {
    "fsp": (
        "Term({name!r}, {call}, student=('features.PATH', 'features.PATH'), "
        "teacher=('features.PATH', 'features.PATH'))",
        "two modules each",
    ),
    "semantic": (
        "Term({name!r}, {call}, student=('logits', 'features.PATH'), "
        "teacher=('logits', 'features.PATH'), target='y')",
        "what both last layers read, which limbeck.objectives.diswot_terms finds,",
    ),
    "vid": (
        "limbeck.objectives.Variational({name!r}, student='features.PATH', "
        "teacher='features.PATH')",
        "two modules",
    ),
}
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Loss:
    """One name of the catalogue: a loss function with options that make it a published loss.

    Args:
        name: on the command line.
        summary: one sentence without its full stop.
        student: what it reads of the student, one of `OUTPUTS`.
        source: where it is published.
        teacher: what it reads of the teacher, each a choice of its own; none needs no teacher.
        labels: what it reads of the labels, each a choice of its own; none needs no labels.
        tasks: for which its name alone makes an objective over a model's outputs.
        softens: whether ``temperature`` softens both sides, as in distillation with soft targets.
        options: keywords of the function that belong to the name.
        function: name of the function.
        topic: name of its file in ``limbeck.functional``.
    """

    name: str
    summary: str
    student: str
    source: str
    teacher: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    softens: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    function: str = ""
    topic: str = ""

    @property
    def needs(self) -> str:
        """What one must have, in words.

        Example:
            >>> loss_named("dkd").needs
            'student logits, teacher logits, class labels'
        """
        words = [f"student {self.student}"]
        words += [f"teacher {' or '.join(self.teacher)}"] if self.teacher else []
        return ", ".join(words + ([" or ".join(self.labels)] if self.labels else []))


def loss(name: str, summary: str, **facts: Any) -> Callable[[Function], Function]:
    """Enter a function in the catalogue; a function with several published names has one each.

    The arguments must be literals: the command line reads them from the source.

    Args:
        name: on the command line.
        summary: one sentence without its full stop.
        facts: the other fields of `Loss`.

    Returns:
        A decorator that gives back the same function, its ``losses`` longer by one.

    Example:
        >>> @loss("gap", "Absolute difference", student="numbers", source="none")
        ... def gap_loss(student, target):
        ...     return abs(student - target)
        >>> gap_loss.losses[0].needs
        'student numbers'
    """

    def enter(function: Function) -> Function:
        topic = function.__module__.rpartition(".")[2]
        entry = Loss(name, summary, **facts, function=function.__name__, topic=topic)
        # Decorators are applied from the last to the first.
        entered = (entry, *getattr(function, "losses", ()))
        function.losses = entered  # type: ignore[attr-defined]
        return function

    return enter


@functools.cache
def losses() -> tuple[Loss, ...]:
    """All entries, by file and in the order of the source.

    Example:
        >>> [one.name for one in losses() if one.topic == "decoupled"]
        ['dkd']
    """
    found = []
    for path in sorted(FUNCTIONAL.glob("*.py")):
        text = path.read_text()
        if "@loss(" in text:
            found += [one for node in ast.parse(text).body for one in _entries(node, path.stem)]
    return tuple(found)


def loss_named(name: str) -> Loss:
    """Find an entry.

    Raises:
        SettingsError: there is none of that name (the nearest is suggested).
    """
    known = {one.name: one for one in losses()}
    if name not in known:
        raise SettingsError(f"there is no loss {name!r}; {nearest(name, known)}")
    return known[name]


def loss_for_outputs(name: str) -> Loss:
    """Find an entry that needs no more than a model's outputs, and labels of a task.

    Raises:
        SettingsError: there is none of that name, or it needs more; how to use it in Python is
            said then.
    """
    found = loss_named(name)
    if found.tasks:
        return found
    call = f"limbeck.functional.{found.function}"
    options = "".join(f", {option}={value!r}" for option, value in found.options.items())
    if found.student in ("features", "attention"):
        made, of = OBJECTIVES.get(name, (TERM, "two modules"))
        how = (
            f"{made.format(name=name, call=call, options=options)} with the paths of {of}, plus "
            "label_term(task), is an objective that KD().distill(..., objective=...) takes"
        )
    else:
        call += f"(...{options})" if options else ""
        how = f"call {call} in a loop of your own, or in a Term whose inputs your models give"
    raise SettingsError(
        f"loss {name!r} needs {found.needs}: its name alone does not say which; in Python: {how}"
    )


def entry_of(function: Callable[..., Any], options: Mapping[str, Any]) -> Loss | None:
    """The entry that a function is with some options, or None where it is in no catalogue.

    Args:
        function: a loss function.
        options: its keywords.

    Example:
        >>> from limbeck.functional import soft_target_loss
        >>> entry_of(soft_target_loss, {"divergence": "reverse_kl", "temperature": 2.0}).name
        'reverse-kl'
    """
    entries: tuple[Loss, ...] = getattr(function, "losses", ())
    fitting = [one for one in entries if one.options.items() <= options.items()]
    return max(fitting, key=lambda one: len(one.options), default=None)


def by_what_you_have() -> list[tuple[str, str, list[Loss]]]:
    """Group the losses by what the teacher gives and what labels there are.

    Returns:
        Rows of what the teacher gives, what labels there are (empty texts where nothing is
        needed), and the losses that need just this. A loss with a choice stands in several rows.

    Example:
        >>> rows = {(teacher, labels): found for teacher, labels, found in by_what_you_have()}
        >>> [one.name for one in rows["logits", "class labels"]]
        ['dkd', 'pld']
    """
    rows = []
    for teacher in ("", *OUTPUTS):
        for labels in ("", *LABELS):
            fitting = [
                one
                for one in losses()
                if teacher in (one.teacher or ("",)) and labels in (one.labels or ("",))
            ]
            if fitting:
                rows.append((teacher, labels, fitting))
    return rows


def _entries(node: ast.stmt, topic: str) -> list[Loss]:
    """What the decorators of a function say of it."""
    if not isinstance(node, ast.FunctionDef):
        return []
    found = []
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "loss":
            given = [ast.literal_eval(one) for one in call.args]
            facts = {word.arg or "": ast.literal_eval(word.value) for word in call.keywords}
            facts |= {"function": node.name, "topic": topic}
            found.append(Loss(*given, **facts))
    return found
