"""Makers: what a teacher given by name is and how it learns, by the kind of its name."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.errors import ArgumentError, ModelError, UnusualUseWarning
from limbeck.loops.fit import fit
from limbeck.naming import split_name
from limbeck.networks.making import weights_of
from limbeck.networks.names import build
from limbeck.objectives import label_term
from limbeck.run.run import Run
from limbeck.teachers import Teacher, teacher

if TYPE_CHECKING:
    from limbeck.bridges.sklearn.estimator_teacher import EstimatorTeacher
    from limbeck.loops.teach import Teaching

SKOPS = ".skops"


class Maker(Protocol):
    """What makes teachers of the names of one kind."""

    def takes(self, name: str) -> bool:
        """Whether a name is of this kind."""

    def network(self, name: str, data: Data) -> nn.Module | None:
        """The structure of what will teach, without weights that are fetched; None: no network."""

    def learns(self, name: str, data: Data) -> bool:
        """Whether it is trained on the data, or comes knowing the classes; wrong names raise."""

    def make(
        self, run: Run, stage: str, key: int, name: str, data: Data, teaching: Teaching
    ) -> Teacher:
        """Make the teacher, training it in a memoised stage of the run where it learns.

        Args:
            run: keeps what was trained.
            stage: name of the stage.
            key: of all draws.
            name: as the user gave it.
            data: what it learns from: ``data.rest`` where there is one, else the training split.
            teaching: how networks are trained.
        """


class NetworkMaker:
    """Networks: built, trained by steps of an optimiser unless they bring weights."""

    def takes(self, name: str) -> bool:
        """Every name that no other maker takes: `build` says what is wrong with it."""
        return True

    def network(self, name: str, data: Data) -> nn.Module | None:
        """The network, its pretrained weights left out."""
        return build(name, data.input_space, data.outputs, fetch=False)

    def learns(self, name: str, data: Data) -> bool:
        """Unless it brings weights that know the classes."""
        return weights_of(build(name, data.input_space, data.outputs, fetch=False)) != "brought"

    def make(
        self, run: Run, stage: str, key: int, name: str, data: Data, teaching: Teaching
    ) -> Teacher:
        """Build it under the key and train it; weights that know the classes stay as they are."""
        with keyed.torch_seeded(key):
            network = build(name, data.input_space, data.outputs)
        if self._is_trained(network, name, data, teaching):

            def train(network: nn.Module, data: Data, teaching: Teaching) -> dict[str, Tensor]:
                fit(
                    run,
                    stage,
                    network,
                    data.for_teachers(),
                    None,
                    label_term(data.task),
                    teaching.optim,
                    teaching.steps,
                    batch_size=teaching.batch_size,
                    views=teaching.views,
                )
                return network.state_dict()

            weights = run.stage(stage, train, network=network, data=data, teaching=teaching)
            network.load_state_dict(weights)
        return teacher(network, name=name)

    def _is_trained(self, network: nn.Module, name: str, data: Data, teaching: Teaching) -> bool:
        brought = weights_of(network)
        if brought == "brought":
            return False
        if teaching.steps:
            return True
        if brought:
            raise ArgumentError(
                f"teacher {name} knows other classes than the {data.outputs} of {data.name}, and "
                "teaching.steps is 0: raise --teacher-steps to train a new head"
            )
        warnings.warn(
            f"teacher {name} is not trained: teaching.steps is 0 and the name brings no weights; "
            "raise the steps or give a file: teacher",
            UnusualUseWarning,
            stacklevel=2,
        )
        return False


class EstimatorMaker:
    """Estimators of scikit-learn: ``sklearn:NAME`` is fitted, ``file:MODEL.skops`` was before."""

    def takes(self, name: str) -> bool:
        """Whether the prefix is scikit-learn's, or a file is of skops."""
        prefix, rest, _ = split_name(name)
        return prefix == "sklearn" or self._is_file(prefix, rest)

    def network(self, name: str, data: Data) -> nn.Module | None:
        """None: there is no network."""
        return None

    def learns(self, name: str, data: Data) -> bool:
        """Unless it is a file."""
        from limbeck.bridges.sklearn.named import named_estimator

        if split_name(name)[0] != "sklearn":
            return False
        named_estimator(name, data.task)
        return True

    def make(
        self, run: Run, stage: str, key: int, name: str, data: Data, teaching: Teaching
    ) -> EstimatorTeacher:
        """Read the file; or fit the named estimator, however many steps networks take."""
        from limbeck.bridges.sklearn.estimator_teacher import EstimatorTeacher, warn_unmet
        from limbeck.bridges.sklearn.storing import read_estimator

        prefix, rest, options = split_name(name)
        if self._is_file(prefix, rest):
            if options:
                raise ArgumentError(f"{name}: a file of skops has no options; leave them out")
            return EstimatorTeacher(read_estimator(Path(rest).expanduser()), name=name)
        stored = self._fitted(run, stage, key, name, data)
        estimator = read_estimator(stored)
        # Fitted on places: names of classes may be numbers too.
        own = getattr(estimator, "classes_", None)
        places = None if own is None else tuple(map(int, own))
        if places is not None:
            warn_unmet(name, places, data.classes)
        return EstimatorTeacher(
            estimator,
            name=name,
            places=places,
            outputs=None if own is None else data.outputs,
            stored=stored,
        )

    def _fitted(self, run: Run, stage: str, key: int, name: str, data: Data) -> bytes:
        import sklearn

        from limbeck.bridges.sklearn.named import named_estimator
        from limbeck.bridges.sklearn.storing import estimator_bytes

        estimator = named_estimator(name, data.task, seed=key)

        def make(given: str, key: int, data: Data, version: str) -> dict[str, Tensor]:
            with run.progress(f"{run.dir.name} {stage}: {given}", 1) as shown:
                stored = estimator_bytes(estimator.fit(*raw_table(data.for_teachers())))
                shown.advance(1)
            return {"estimator": torch.from_numpy(np.frombuffer(stored, np.uint8).copy())}

        # Of another version the file may not load: it is made anew.
        made = run.stage(stage, make, given=name, key=key, data=data, version=sklearn.__version__)
        return made["estimator"].numpy().tobytes()

    def _is_file(self, prefix: str, rest: str) -> bool:
        return prefix == "file" and rest.endswith(SKOPS)


def raw_table(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """The training split as estimators learn from it: rows before normalisation, and targets.

    Args:
        data: its training split is read.

    Returns:
        ``(N, D)`` of float64, and ``(N,)`` classes or numbers, or ``(N, M)`` numbers.

    Raises:
        ModelError: samples have no ``"x"``.
    """
    from limbeck.bridges.sklearn.estimator_teacher import raw_rows

    batches: list[Batch] = [*sequential(data, data.train)]
    if "x" not in batches[0]:
        raise ModelError(
            f"samples of {data.name} are {', '.join(batches[0])}, and estimators read rows of "
            "numbers; give networks, or data with a column x"
        )
    rows = np.concatenate([raw_rows(batch["x"], batch.space) for batch in batches])
    y = torch.cat([batch["y"] for batch in batches]).numpy()
    return rows, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


# The first that takes a name makes its teacher.
MAKERS: tuple[Maker, ...] = (EstimatorMaker(), NetworkMaker())


def maker_of(name: str) -> Maker:
    """Who makes teachers of a name.

    Example:
        >>> type(maker_of("sklearn:ridge")).__name__, type(maker_of("mlp?hidden=8")).__name__
        ('EstimatorMaker', 'NetworkMaker')
    """
    return next(maker for maker in MAKERS if maker.takes(name))
