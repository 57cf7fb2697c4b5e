"""StackedPredictor: a few members of any kind and the plain numbers that make them one."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from limbeck import files
from limbeck.columns import PredictedTeacher
from limbeck.data.batch import Batch
from limbeck.data.data import Data
from limbeck.data.loader import sequential
from limbeck.data.space import InputSpace, convert
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.cost import cost
from limbeck.evaluate.diagnostics import diagnostics
from limbeck.evaluate.stacks import stack_rows
from limbeck.fingerprint import fingerprint
from limbeck.functional.pools import mean_logits, mean_probabilities
from limbeck.naming import distinct
from limbeck.outputs import Outputs
from limbeck.products.export_folder import FACTS
from limbeck.products.members import Shared, members_of, read_members, write_members
from limbeck.products.predictor import Predictor
from limbeck.products.stacking_rules import AverageRule, Rule, rule_of
from limbeck.teachers import uncounted_bytes

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin
    from limbeck.run.run import Run

RULE = "rule.safetensors"
TASKS = ("classification", "regression")


class StackedPredictor(Predictor):
    """Members that are each asked once about a sample, and a rule that makes their answers one.

    A member may be several models whose answers are averaged, such as those of the folds of a
    cross-validation. What the members are stacked with is plain numbers: no fitted object of
    another library is kept for it. A stack is a teacher too: ``teacher=stack`` distils it.

    Args:
        members: for each a module, a student, a teacher, or an ensemble of some that are averaged.
        rule: from what they say to one answer.
        input_space: what batches hold, or None.
        task: ``"classification"`` or ``"regression"``.
        classes: names of the classes.
        names: of the members, all different; None calls them as they call themselves.
        facts: how the stack came about, plain values that are kept with it.

    Raises:
        ArgumentError: the rule is about other members or another number of classes, the task has
            no stack, or two members have one name.

    Example:
        >>> from limbeck.products.stacking_rules import AverageRule
        >>> pair = [nn.Linear(2, 3), nn.Linear(2, 3)]
        >>> rule = AverageRule([1.0, 1.0], of="probabilities")
        >>> stack = StackedPredictor(pair, rule, None, "classification", ("a", "b", "c"))
        >>> stack.predict(torch.zeros(4, 2)).shape
        torch.Size([4])
    """

    what = "stack"

    def __init__(
        self,
        members: Sequence[Any],
        rule: Rule,
        input_space: InputSpace | None,
        task: str,
        classes: tuple[str, ...] = (),
        *,
        names: Sequence[str] | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        if task not in TASKS:
            raise ArgumentError(f"task is {task!r}, expected one of {', '.join(TASKS)}")
        self.groups = tuple(members_of(one) for one in members)
        self.rule = rule.eval().requires_grad_(False)
        self.input_space, self.task, self.classes = input_space, task, classes
        self.width = len(classes) or 1
        self.facts = dict(facts or {})
        own = [str(getattr(group[0], "name", group[0])) for group in self.groups]
        self.names = tuple(names or distinct(own))
        if len(set(self.names)) < len(self.groups) or len(self.names) > len(self.groups):
            raise ArgumentError(
                f"names are {', '.join(self.names)} for {len(self.groups)} members, expected a "
                "name of its own for each"
            )
        rule.check(len(self.groups), self.width)
        ready = any(isinstance(one, PredictedTeacher) for group in self.groups for one in group)
        # Large numbers that differ little are apart in double precision alone.
        self.precision = torch.float64 if ready else torch.float32

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The networks among the members, and the rule."""
        networks = [module for group in self.groups for one in group for module in one.modules]
        return (*networks, self.rule)

    @property
    def uncounted_bytes(self) -> int | None:
        """Size of members that are no networks; None where all are."""
        sizes = [uncounted_bytes(one) for group in self.groups for one in group]
        known = [size for size in sizes if size is not None]
        return sum(known) if known else None

    @property
    def fingerprint(self) -> str:
        """Short name of the content: a stack is a teacher too."""
        models = [[one.fingerprint for one in group] for group in self.groups]
        return fingerprint(models, self.rule, self.rule.facts(), self.input_space)

    @property
    def wants(self) -> tuple[str, ...]:
        """Columns of the batch that it reads."""
        return ("x",)

    def __call__(self, batch: Batch) -> Outputs:
        """What the stack says, as a teacher: inputs of another space are converted."""
        x = convert(batch["x"], batch.space, self.input_space)
        if x is not batch["x"]:
            batch = Batch({**batch, "x": x}, key=batch.key, space=self.input_space)
        return self.outputs(batch)

    @torch.no_grad()
    def outputs(self, batch: Batch, known: dict[int, Tensor] | None = None) -> Outputs:
        """What the stack says about a batch; each model is asked once.

        Args:
            batch: inputs are normalised.
            known: answers by the identity of a model; those that are missing are put in. Stacks
                of the same models that look at the same batch ask them once together.

        Returns:
            Logits ``(N, C)`` and ``extra.member_logits`` ``(K, N, C)``.

        Raises:
            ModelError: a member gives another number of outputs than the stack.
        """
        known = {} if known is None else known
        for name, group in zip(self.names, self.groups, strict=True):
            for one in group:
                if id(one) not in known:
                    said = one(batch).read("logits")
                    known[id(one)] = said[:, None] if said.ndim == 1 else said
                self._check_width(name, known[id(one)])
        combine = mean_logits if self.task == "regression" else mean_probabilities
        said = torch.stack(
            [combine(torch.stack([known[id(one)] for one in group])) for group in self.groups]
        )
        return Outputs(logits=self.rule(said).to(said.dtype), extra={"member_logits": said})

    def _check_width(self, name: str, said: Tensor) -> None:
        if tuple(said.shape[1:]) != (self.width,):
            what = f"{self.width} classes" if self.classes else "one number a sample"
            raise ModelError(
                f"member {name} gives outputs of shape {tuple(said.shape)}, expected "
                f"(N, {self.width}) for a stack of {what}; give members of the same outputs"
            )

    def cost(self, data: Data) -> dict[str, float]:
        """Members, and what one prediction takes; see `limbeck.evaluate.cost.cost`."""
        seen = self.see(data)
        one = next(sequential(seen, seen.test, 1))
        return {"members": len(self.groups), **cost(self, self.modules, one)}

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, StackedPredictor],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this stack, of simpler ones over the same members, and of each member.

        Args:
            run: not needed: nothing is trained.
            name: of this stack's row.
            baselines: other stacks by name; the first is the baseline.
            inputs: of the method; ``data`` is read.

        Returns:
            The rows, and what a report draws beside them.
        """
        stacks = {name: self, **baselines}
        shown = {label: one.outputs for label, one in list(stacks.items())[:2]}
        return stack_rows(stacks, inputs["data"]), diagnostics(shown, inputs["data"])

    def alone(self) -> dict[str, StackedPredictor]:
        """Each member as a stack of its own, by name."""
        of = "numbers" if self.task == "regression" else "probabilities"
        rule = AverageRule([1.0], of=of)
        return {
            name: StackedPredictor(
                [group], rule, self.input_space, self.task, self.classes, names=[name]
            )
            for name, group in zip(self.names, self.groups, strict=True)
        }

    def summary(self) -> str:
        """One line about the stack."""
        what = f"{self.rule.kind} stack of {len(self.groups)} members"
        said = f"{what}: {', '.join(self.names)}; {self.task} with {self.width} outputs"
        gone = len(self.facts.get("removed", ()))
        return f"{said}; {gone} removed" if gone else said

    def save(self, dir: str | Path) -> None:
        """Write the stack: members, numbers and facts, no code, no time, no path.

        Raises:
            ModelError: a member is of a kind that cannot be saved.
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the stack's files into a folder that `limbeck.files.new_folder` makes whole."""
        models = [one for group in self.groups for one in group]
        facts = {
            "kind": "stacked-predictor",
            "task": self.task,
            "classes": self.classes,
            "input_space": self.input_space and dataclasses.asdict(self.input_space),
            "names": self.names,
            "models": [len(group) for group in self.groups],
            "rule": self.rule.facts(),
            "members": write_members(models, part),
            "stack": self.facts,
        }
        files.save_tensors(part / RULE, self.rule.state_dict(), {})
        files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")

    def export(self, dir: str | Path, *, to: str, origin: Origin | None = None) -> dict[str, Any]:
        """Write the stack in a form that other programs read, beside ``stack.json``.

        Args:
            dir: the folder; an earlier export of the same stack is replaced.
            to: ``"safetensors"`` (members and numbers, which `limbeck.load` reads), or ``"onnx"``
                (one graph, ``stack.onnx``) where all members are networks.
            origin: not needed: a stack has no model card.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` where what was
            written was run beside the stack.

        Raises:
            ArgumentError: the format is unknown.
            ModelError: a member is no network, or what was written differs.
            RunError: the folder holds something else or cannot be written.
        """
        # Here, because the exporter reads what this module defines.
        from limbeck.products.stack_exporting import export

        return export(self, dir, to=to)

    @classmethod
    def load(
        cls,
        dir: str | Path,
        network: nn.Module | Sequence[nn.Module] | None = None,
        *,
        trusted: Sequence[str] = (),
    ) -> StackedPredictor:
        """Read what `save` wrote.

        Args:
            dir: the folder.
            network: networks to fill, in order, for members of the user's own classes.
            trusted: full names of classes of the user's own, such as ``shop.Prices``, that
                estimators among the members may hold.

        Raises:
            CorruptFileError: a file is missing or was altered.
            ModelError: a network is needed or does not fit its weights, or an estimator holds a
                class that is not trusted.
        """
        dir = Path(dir)
        files.check_folder(dir)
        facts = json.loads((dir / FACTS).read_text())
        tensors, _ = files.load_tensors(dir / RULE)
        space = InputSpace.of_facts(facts["input_space"]) if facts["input_space"] else None
        given = [network] if isinstance(network, nn.Module) else list(network or ())
        shared = Shared(space, len(facts["classes"]) or 1, iter(given), trusted)
        models = iter(read_members(dir, facts["members"], shared))
        return cls(
            [[next(models) for _ in range(count)] for count in facts["models"]],
            rule_of(facts["rule"], tensors),
            space,
            facts["task"],
            tuple(facts["classes"]),
            names=facts["names"],
            facts=facts["stack"],
        )
