"""Method: what every system's class is, and what happens around its ``distill``."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, dataclass_transform

from torch import nn

from limbeck import files, keyed
from limbeck.cards import Card, card
from limbeck.columns import predicted
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError, CorruptFileError, Interrupted, RunError, nearest
from limbeck.fingerprint import fingerprint, fingerprint_of_object
from limbeck.loops.fit import check_model
from limbeck.loops.teach import Teaching, as_teachers
from limbeck.naming import missing_inputs, split_name, with_options
from limbeck.networks.names import build
from limbeck.plain import to_plain
from limbeck.run.environment import environment
from limbeck.run.folder import ENVIRONMENT, INPUTS, claimed, how_to_go_on
from limbeck.run.processor import computing
from limbeck.run.run import Run
from limbeck.settings import settings

T = TypeVar("T")
TRAINED = ("student", "network")


class Method(Protocol):
    """What limbeck asks of a system's class."""

    card: ClassVar[Card]

    def distill(self, run: Any, **inputs: Any) -> Any:
        """Make the product."""

    def baselines(self, run: Any, **inputs: Any) -> dict[str, Any]:
        """Make the products that the product must be compared with."""


@dataclass_transform(frozen_default=True)
def method(slug: str) -> Any:
    """Make a class a method: checked settings, a card, and inputs given by name or as objects.

    ``distill(run, **inputs)`` of the class then takes a run or a path; names of data, teachers
    and networks are resolved, networks copied, the folder claimed, and the product saved. A run
    that is already complete returns its product.

    Args:
        slug: name of the method's folder, with hyphens.

    Returns:
        A decorator.
    """

    def decorate(cls: type[T]) -> type[T]:
        checked: Any = settings(cls)
        checked.card = card(slug)
        make, compare = checked.distill, checked.baselines

        @functools.wraps(make)
        def distill(self: Any, run: Run | str | Path, **inputs: Any) -> Any:
            with opened(self, run, inputs) as (run, ready):
                return _made(self, make, run, ready)

        @functools.wraps(compare)
        def baselines(self: Any, run: Run | str | Path, **inputs: Any) -> Any:
            with opened(self, run, inputs) as (run, ready):
                return _seeded(compare, self, run, ready)

        checked.distill, checked.baselines = distill, baselines
        return checked

    return decorate


def complete(
    method: Any, run: Run | str | Path, inputs: Mapping[str, Any]
) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Make the product and what it must be compared with, resolving the inputs once.

    Args:
        method: an instance of a method's class.
        run: a run, or a path for one with seed 0.
        inputs: as the user gave them.

    Returns:
        The product, the baselines by name, and the inputs as objects.
    """
    kind = type(method)
    with opened(method, run, inputs) as (run, ready):
        product = _made(method, kind.distill.__wrapped__, run, ready)
        return product, _seeded(kind.baselines.__wrapped__, method, run, ready), ready


def single(
    method: Any, run: Run | str | Path, inputs: Mapping[str, Any], *, alone: bool = False
) -> tuple[Any, dict[str, Any], float]:
    """Make one product and nothing beside it.

    Args:
        method: an instance of a method's class.
        run: a run, or a path for one with seed 0.
        inputs: as the user gave them.
        alone: make the baseline, the first of what the product must be compared with, in its
            place.

    Returns:
        The product, the inputs as objects, and the seconds that making it took, teachers apart.
    """
    kind = type(method)

    def baseline(self: Any, run: Run, **ready: Any) -> Any:
        return next(iter(kind.baselines.__wrapped__(self, run, **ready).values()))

    with opened(method, run, inputs) as (run, ready):
        begun = time.perf_counter()
        product = _made(method, baseline if alone else kind.distill.__wrapped__, run, ready)
        return product, ready, time.perf_counter() - begun


@contextmanager
def opened(
    method: Any, run: Run | str | Path, inputs: Mapping[str, Any]
) -> Iterator[tuple[Run, dict[str, Any]]]:
    """Claim the folder, resolve the inputs and compute with the run's threads inside the block.

    Args:
        method: an instance of a method's class.
        run: a run, or a path for one with seed 0.
        inputs: as the user gave them.

    Yields:
        The run and the inputs as objects.

    Raises:
        RunError: the folder holds a run with other settings, data or models.
    """
    run = run if isinstance(run, Run) else Run(run)
    try:
        with computing(run.options.threads), claimed(run.dir, identity(method, run, inputs)):
            files.write_text(run.dir / ENVIRONMENT, environment())
            try:
                yield run, prepare(method, run, inputs)
            finally:
                run.finish()
    except Interrupted as stop:
        if how_to_go_on(run.dir) in str(stop):
            raise
        raise Interrupted(f"{stop}; {how_to_go_on(run.dir)}") from None


def identity(method: Any, run: Run, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a run folder was asked to do, in plain values; objects appear by their class."""
    return {
        "method": method.card.slug,
        "seed": run.seed,
        "settings": to_plain(method),
        "inputs": {name: _spoken(value) for name, value in inputs.items() if value is not None},
        "options": {"threads": run.options.threads, "precision": run.options.precision},
    }


def prepare(method: Any, run: Run, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve names to objects: data, then networks for it, then teachers trained on it.

    Raises:
        ArgumentError: an input is missing or unknown.
        RunError: an object differs from the one this folder was begun with.
    """
    takes = method.card.takes
    optional = method.card.optional
    for name in inputs:
        if name not in (*takes, *optional):
            raise ArgumentError(
                f"{method.card.slug} takes no input {name!r}; {nearest(name, (*takes, *optional))}"
            )
    if missing := missing_inputs(takes, inputs):
        raise ArgumentError(
            f"{method.card.slug} needs {', '.join(takes)} and got no {' and no '.join(missing)}"
        )
    ready = {name: value for name, value in inputs.items() if value is not None}
    ready["data"] = data = resolve(data_of(method, inputs["data"]), seed=run.seed)
    tasks = method.card.reads
    if data.task not in tasks:
        raise ArgumentError(
            f"{method.card.slug} is for {' and '.join(tasks)}, and {data.name} is {data.task}; "
            "take another method or other data"
        )
    assemble = getattr(method, "assemble", None)
    if assemble is not None:
        # Models that are no networks of this library: the method itself knows what names mean.
        _compare_content(run, ready)
        return dict(assemble(run, ready))
    for name in TRAINED:
        if name in ready:
            ready[name] = _network(ready[name], run, data)
            # Before teachers are trained: that may take hours.
            check_model(ready[name], data, f"the {name}")
    if "teacher" in takes and "teacher" not in ready:
        ready["teacher"] = [predicted(*one) for one in enumerate(data.members)]
    if "teacher" in ready:
        ready["teacher"] = as_teachers(ready["teacher"], data)
    _compare_content(run, ready)
    gather = getattr(method, "gather", None)
    if gather is not None:
        # Members that a method trains in a way of its own, such as fold by fold.
        ready["teacher"] = gather(run, ready.get("teacher"), data)
    elif "teacher" in ready:
        teaching = getattr(method, "teaching", None) or Teaching(steps=0)
        before = getattr(method, "check_inputs", None)
        if before is not None:
            # What training teachers for hours would not mend.
            before(run, **ready)
        check = getattr(method, "check_teacher", None)
        if check is not None and "student" in ready:
            check = functools.partial(check, student=ready["student"])
        ready["teacher"] = teaching.taught(run, ready["teacher"], data, check=check)
    return ready


def data_of(method: Any, given: Any) -> Any:
    """Data as given, a name with the options that settings of the method put behind it.

    Raises:
        ArgumentError: the name has other options, or data are an object, which takes none.
    """
    options = getattr(method, "data_options", {})
    if not options:
        return given
    if isinstance(given, str):
        return with_options(given, options)
    raise ArgumentError(
        f"{' and '.join(options)} is set, which says how to read data given by name, and data is a "
        f"{type(given).__name__}; leave it out"
    )


def _made(method: Any, make: Any, run: Run, ready: Mapping[str, Any]) -> Any:
    product = _seeded(make, method, run, ready)
    if run.engine.rank == 0:
        product.save(run.dir / "product")
    run.engine.barrier()
    return product


def _seeded(call: Any, method: Any, run: Run, ready: Mapping[str, Any]) -> Any:
    """Call a part of a method so that what it builds on the way depends on the seed alone."""
    with keyed.torch_seeded(keyed.key(run.seed, "method", method.card.slug)):
        return call(method, run, **_fresh(ready))


def _fresh(ready: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs with untrained copies of the networks that a method trains in place."""
    return {
        name: copy.deepcopy(value) if name in TRAINED else value for name, value in ready.items()
    }


def _network(given: Any, run: Run, data: Any) -> nn.Module:
    """A network of the run's own: built from a name under the seed, or copied."""
    if isinstance(given, nn.Module):
        return copy.deepcopy(given).requires_grad_(True)
    if isinstance(given, type):
        raise ArgumentError(
            f"the student is the class {given.__name__}, expected a module; make one: "
            f"student={given.__name__}(...)"
        )
    if not isinstance(given, str):
        raise ArgumentError(
            f"the student is a {type(given).__name__}, expected a torch module or a name such as "
            "mlp?hidden=32 or timm:resnet18"
        )
    with keyed.torch_seeded(keyed.key(run.seed, "student")):
        return build(given, data.input_space, data.outputs)


def _compare_content(run: Run, ready: Mapping[str, Any]) -> None:
    """Refuse to go on in a folder that was begun with other content under the same names."""
    content = {name: _word(value) for name, value in ready.items()}
    path = run.dir / INPUTS
    if path.exists():
        begun = _begun(path)
        changed = [name for name, word in content.items() if begun.get(name) != word]
        if changed:
            raise RunError(
                f"{run.dir} was begun with another {' and '.join(changed)} of the same name; "
                "choose another folder with --out"
            )
    elif run.engine.rank == 0:
        files.write_json(path, content)


def _begun(path: Path) -> dict[str, str]:
    """What a folder was begun with."""
    try:
        return dict(files.read_json(path))
    except (CorruptFileError, TypeError, ValueError):
        raise CorruptFileError(
            f"{path} is damaged, so that nothing tells whether data and models are those that "
            "the run was begun with; delete it if they are, or choose another folder with --out"
        ) from None


def _word(value: Any) -> str:
    """Fingerprint of an input; objects of somebody else's class are read one by one."""
    try:
        return fingerprint(_content(value))
    except ArgumentError:
        several = value if isinstance(value, (list, tuple)) else [value]
        return fingerprint([fingerprint_of_object(_content(one)) for one in several])


def _content(value: Any) -> Any:
    """What a fingerprint is taken of: of a ``file:`` the file, of other names the name."""
    if isinstance(value, (list, tuple)):
        return [_content(item) for item in value]
    if isinstance(value, str) and split_name(value)[0] == "file":
        path = Path(split_name(value)[1])
        return [value, path.read_bytes() if path.is_file() else b""]
    return value


def _spoken(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_spoken(item) for item in value]
    return value if isinstance(value, (str, int, float, bool)) else f"object:{type(value).__name__}"
