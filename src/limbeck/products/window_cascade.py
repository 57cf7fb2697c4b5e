"""WindowCascade: models in order, of which later ones see only samples near a decision."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from limbeck import files
from limbeck.data.batch import Batch
from limbeck.data.checking import check_unseen
from limbeck.data.data import Data
from limbeck.data.names import resolve
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.fingerprint import fingerprint
from limbeck.functional.cascades import EVERYTHING
from limbeck.outputs import Outputs
from limbeck.products.cascade_files import read_cascade, write_cascade
from limbeck.products.cascade_measures import (
    StageCost,
    check_said,
    figures_of,
    mean_cost,
    stage_costs,
    stage_predictions,
    told,
)
from limbeck.products.cascading import cascaded
from limbeck.products.predictor import Predictor
from limbeck.products.stages import Stages, asked, stages_for
from limbeck.selection.exit_policy import ExitPolicy
from limbeck.selection.exits import Exits, Predictions

if TYPE_CHECKING:
    from limbeck.run.run import Run

Labelled = tuple[Predictions, Any]


class WindowCascade(Predictor):
    """A classifier whose later stages are asked only about samples inside a window of confidence.

    Args:
        models: the stages, made by `limbeck.products.stages.stages`.
        input_space: of the inputs, or None.
        classes: names of the classes.
        policy: how windows are chosen.
        exits: the chosen windows; None before `calibrate`.

    Raises:
        ArgumentError: the windows are of another number of stages.

    Example:
        >>> import numpy as np
        >>> from limbeck.data import digits
        >>> data = digits()
        >>> pair = [nn.Sequential(nn.Flatten(), nn.Linear(64, 10)) for _ in range(2)]
        >>> cascade = WindowCascade.of(pair, data).calibrate(data)
        >>> cascade.predict(np.zeros((3, 8, 8))).shape
        torch.Size([3])

    Source: Xia and Bouganis, arXiv 2303.08010.
    """

    what = "cascade"
    task = "classification"

    def __init__(
        self,
        models: Stages,
        input_space: InputSpace | None,
        classes: tuple[str, ...],
        *,
        policy: ExitPolicy | None = None,
        exits: Exits | None = None,
    ) -> None:
        self.models, self.input_space, self.classes = models, input_space, classes
        self.policy, self.exits = policy or ExitPolicy(), exits
        self.width = len(classes)
        if exits is not None and exits.stages != len(models):
            raise ArgumentError(
                f"exits are of {exits.stages} stages and there are {len(models)}; calibrate these"
            )

    @classmethod
    def of(cls, models: Any, data: Data | str, policy: ExitPolicy | None = None) -> WindowCascade:
        """Make a cascade of models for some data; `calibrate` chooses its windows.

        Args:
            models: in order (modules, students, teachers), an ensemble, or one network with
                several exits.
            data: tells the classes and the input space; or its name.
            policy: how windows are chosen.

        Raises:
            ArgumentError: the data or a model is no classifier, or an ensemble is no plain mean.
            ModelError: a model has other classes.
        """
        found = resolve(data)
        if found.task != cls.task:
            raise ArgumentError(
                f"{found.name} is {found.task}, and confidence as a cascade reads it is that of a "
                "classifier; take classification data"
            )
        return cls(stages_for(models, found), found.input_space, found.classes, policy=policy)

    def calibrate(
        self, validation: Data | str | Labelled, policy: ExitPolicy | None = None
    ) -> WindowCascade:
        """Choose windows and the threshold of acceptance on validation samples.

        Args:
            validation: data or its name, of which the validation split is used; or what each stage
                by itself says, logits ``(S, N, C)``, with the classes ``(N,)``.
            policy: how; None keeps the one there is.

        Returns:
            The cascade itself.

        Raises:
            ArgumentError: validation samples were trained on (where ids tell), what stages say is
                of other stages or classes, or as `ExitPolicy.calibrated`.
            ModelError: the data does not fit.
        """
        policy = policy or self.policy
        if isinstance(validation, (Data, str)):
            validation = self.predictions(resolve(validation))
        outputs, target = check_said(validation, len(self.models), self.width)
        self.exits = policy.calibrated(outputs, target, averaged=self.averaged)
        self.policy = policy
        return self

    def predictions(self, data: Data) -> tuple[Tensor, Tensor]:
        """What each stage by itself says about the validation split.

        Args:
            data: whose training splits no validation sample may stand in.

        Returns:
            Logits ``(S, N, C)`` and classes ``(N,)``.

        Raises:
            ArgumentError: validation samples were trained on, where ids tell.
            ModelError: the data does not fit.
        """
        check_unseen(data)
        seen = self.whole.see(data)
        return stage_predictions(self.models, seen, seen.validation)

    @property
    def calibrated(self) -> Exits:
        """The windows.

        Raises:
            ModelError: none were chosen yet.
        """
        if self.exits is None:
            raise ModelError("the cascade has no windows yet; call calibrate(data) first")
        return self.exits

    @property
    def whole(self) -> WindowCascade:
        """The same stages, all of them for every sample: the full ensemble, or the last exit."""
        windows = (EVERYTHING,) * (len(self.models) - 1)
        return self.with_exits(Exits(self.policy.score, "logits", self.averaged, windows))

    @property
    def first(self) -> WindowCascade:
        """The first stage alone."""
        return self.single(self.models.upto(1))

    def single(self, models: Stages) -> WindowCascade:
        """Another single stage in place of these, such as one of the other members."""
        return self.with_exits(Exits(self.policy.score, "logits", self.averaged, ()), models)

    def with_exits(self, exits: Exits, models: Stages | None = None) -> WindowCascade:
        """Other windows on the same stages, or on others.

        Raises:
            ArgumentError: the windows are of another number of stages.
        """
        stages, policy = self.models if models is None else models, self.policy
        return WindowCascade(stages, self.input_space, self.classes, policy=policy, exits=exits)

    @property
    def averaged(self) -> bool:
        """Whether a stage says the mean of those so far."""
        return self.models.averaged

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The networks of all stages."""
        return self.models.modules

    @property
    def fingerprint(self) -> str:
        """Short name of what it says about samples."""
        members = [one.fingerprint for one in self.models.members]
        return fingerprint(members, self.calibrated.to_facts(), self.input_space)

    def outputs(self, batch: Batch) -> Outputs:
        """What it says about a batch; ``extra`` holds ``confidence`` and ``reached``.

        Raises:
            ModelError: it was not calibrated.
        """
        if batch.space is None:
            batch = Batch(dict(batch), key=batch.key, space=self.input_space)
        return cascaded(self.models, self.calibrated, [batch])

    def answers(self, x: Any) -> list[Outputs]:
        """What it says about inputs; those of all batches that go on are asked about together.

        Args:
            x: as in `logits`.
        """
        batches = [Batch(columns, space=self.input_space) for columns in self._columns(x)]
        return [cascaded(self.models, self.calibrated, batches)] if batches else []

    def confidence(self, x: Any) -> Tensor:
        """How sure it is, ``(N,)`` in float64: the score of the stage that a sample ends at.

        Args:
            x: as in `logits`.
        """
        return self._extra(x, "confidence", torch.float64)

    def reached(self, x: Any) -> Tensor:
        """The stage that each sample ends at, counted from 0, ``(N,)``.

        Args:
            x: as in `logits`.
        """
        return self._extra(x, "reached", torch.int64)

    def accept(self, x: Any) -> Tensor:
        """Which predictions meet the target of the policy, ``(N,)``; decline the others.

        The threshold was chosen on what the cascade as a whole said about validation samples:
        that of the first stage, which the window stands around, is in another unit.

        Args:
            x: as in `logits`.

        Raises:
            ModelError: it was not calibrated.
        """
        if math.isnan(self.calibrated.acceptance):
            raise ModelError("no threshold of acceptance was chosen; call calibrate(data) first")
        return self.confidence(x) >= self.calibrated.acceptance

    def shifted(self, x: Any) -> WindowCascade:
        """The cascade with windows that hold as many samples of an unlabelled pool.

        Thresholds stay, and so does that of acceptance; where samples come from elsewhere in part,
        the traffic stays near what was asked for.

        Args:
            x: the pool, as in `logits`: a whole batch of new samples.

        Returns:
            Another cascade of the same stages.

        Raises:
            ArgumentError: the pool is empty or a single sample, or this is the whole of a cascade,
                whose windows stand around nothing.
        """
        earlier, space = len(self.models) - 1, self.input_space
        batches = [Batch(columns, space=space) for columns in self._columns(x)]
        if not batches:
            raise ArgumentError("x is empty, expected a pool of samples to place windows on")
        if not earlier:
            return self
        said = torch.cat([asked(self.models.upto(earlier), one).cpu() for one in batches], 1)
        exits = self.calibrated
        return self.with_exits(exits.shifted(exits.confidences(said)))

    def evaluate(self, data: Data) -> dict[str, float]:
        """Quality on the test split, that of a classifier which may decline included."""
        seen = self.see(data)
        return figures_of(told(self, seen, seen.test))

    def stage_costs(self, data: Data) -> list[StageCost]:
        """What each stage takes, and the share of the test split that reaches it.

        Args:
            data: with the same classes.
        """
        seen = self.see(data)
        return stage_costs(self.models, seen, told(self, seen, seen.test).reached)

    def cost(self, data: Data) -> dict[str, float]:
        """Parameters and bytes of all stages; multiply-adds and latency of the mean test sample."""
        seen = self.see(data)
        said = told(self, seen, seen.test)
        return mean_cost(self, stage_costs(self.models, seen, said.reached), seen, said.reached)

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, WindowCascade],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this cascade, those it is compared with, the whole and its members.

        Args:
            run: whose report shows curves and windows.
            name: of this cascade's row.
            baselines: other cascades by name.
            inputs: of the method: ``data`` and, where there are samples from outside, ``outside``.

        Returns:
            The rows, and what a report draws beside them.
        """
        from limbeck.products.cascade_table import cascade_table

        return cascade_table(run, self, name, baselines, inputs["data"], inputs.get("outside"))

    def summary(self) -> str:
        """One line about the cascade."""
        names = ", ".join(str(getattr(one, "name", one)) for one in self.models.members)
        what = f"{len(self.models)} {'members' if self.averaged else 'exits'} ({names})"
        return f"cascade of {what}, {self.task} with {self.width} outputs"

    def save(self, dir: str | Path) -> None:
        """Write the cascade: members, windows and facts, no code, no time, no path.

        Raises:
            ModelError: it was not calibrated, or a member cannot be saved.
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the cascade's files into a folder that `limbeck.files.new_folder` makes whole."""
        write_cascade(self, part)

    def export(
        self, dir: str | Path, *, to: str, data: Data | None = None, origin: Any = None
    ) -> dict[str, Any]:
        """Write the cascade in a form that other programs read.

        Args:
            dir: the folder; an earlier export of the same cascade is replaced.
            to: ``"onnx"`` (``stage-0.onnx`` and on, with ``cascade.json``, which
                `limbeck.bridges.onnx_cascade` runs without torch) or ``"safetensors"``, which
                `limbeck.load` reads.
            data: not needed.
            origin: not needed.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` of ONNX.

        Raises:
            ArgumentError: the format is unknown.
            ModelError: a library is missing, or a member has no such form.
            RunError: the folder holds something else or cannot be written.
        """
        from limbeck.products.cascade_exporting import export

        return export(self, dir, to=to)

    @classmethod
    def load(
        cls,
        dir: str | Path,
        network: nn.Module | Sequence[nn.Module] | None = None,
        *,
        trusted: Sequence[str] = (),
    ) -> WindowCascade:
        """Read what `save` wrote; see `limbeck.load` for `network` and `trusted`.

        Raises:
            CorruptFileError: a file is missing or was altered.
            ModelError: a network is needed or does not fit its weights, or an estimator holds a
                class that is not trusted.
        """
        return read_cascade(Path(dir), network, trusted)

    def _extra(self, x: Any, name: str, dtype: torch.dtype) -> Tensor:
        parts = [one.read(f"extra.{name}").cpu() for one in self.answers(x)]
        return torch.cat(parts) if parts else torch.empty(0, dtype=dtype)
