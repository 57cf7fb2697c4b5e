"""Recursive meta-distillation: generations of students, anchored to a pool of base teachers."""

from __future__ import annotations

import copy
import dataclasses
import json
import warnings
from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from limbeck import files
from limbeck.cache import cached
from limbeck.data import Data, Views
from limbeck.data.splits import Split
from limbeck.errors import DataError, NoEffectWarning, SettingsError
from limbeck.evaluate.convergence import Chain, convergence_report
from limbeck.evaluate.convergence_charts import convergence_exhibits
from limbeck.evaluate.quality import Source, collect
from limbeck.functional.axioms import AxiomReport, AxiomSpec, check_axioms
from limbeck.functional.operators import EXPONENTS, Anchoring, MetaTeacher, Pooling, Softening
from limbeck.functional.recursion import Mixture, total_variation
from limbeck.loops import Optim, fit
from limbeck.loops.teach import Teaching
from limbeck.method import method
from limbeck.methods.recursive_meta_distillation.anchored import AnchoredTeacher, objective
from limbeck.objectives import label_term
from limbeck.products import Student
from limbeck.run import Run
from limbeck.run.exhibits import Sheet, write_exhibits
from limbeck.teachers import EnsembleTeacher, Teacher, teacher

CONVERGENCE, PROBE = "convergence.json", "probe.safetensors"
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(gt=0)]


@method("recursive-meta-distillation")
class RecursiveMetaDistillation:
    r"""Generations :math:`S_k` that learn :math:`(1 - \alpha) S_{k-1} + \alpha B`.

    B is the pool of the base teachers' softened distributions. The first student learns labels.

    Args:
        anchor: :math:`\alpha`, the pool's share in a generation's teacher, or one number a
            generation, of which the last goes on; 0 lets the chain drift.
        generations: how many follow the first student.
        temperature: T at which teachers, students and their distances are compared, or one a
            generation, of which the last goes on.
        pool: how base teachers are made one: ``"linear"``, ``"geometric"`` or ``"power"``.
        exponent: q of the ``"power"`` pool, -1 to 1.
        weights: one a base teacher; None takes the ensemble's own, which weigh all alike unless
            told otherwise.
        mixture: how the last student and the pool are mixed, ``"linear"`` or ``"geometric"``.
        clip: every class gets this probability.
        keep: how many classes of the base teachers are known; the mass of the others is spread
            evenly. None knows all.
        start: ``"fresh"`` begins every generation with the weights the student came with,
            ``"warm"`` with those of the generation before.
        initial_labels: how many labelled samples the first student learns from; None takes all of
            the training split, which later generations use without labels.
        initial_steps: optimiser steps of the first student.
        initial_optim: how the first student learns.
        steps: optimiser steps of every later one.
        batch_size: samples a step.
        targets: ``"live"`` asks the teachers at every step, ``"stored"`` once a generation about
            every sample in every view of it, and keeps what they say in the run's cache.
        stop_below: the chain ends early at the first generation that brings the mean total
            variation on the validation split down by less. None runs all.
        optim: how later students learn.
        views: random changes of images, the same for student and teachers.
        teaching: how teachers given by name are trained.

    Source: Flouro and Chadwick, arXiv 2601.13100.
    """

    anchor: Share | tuple[Share, ...] = 0.3
    generations: Annotated[int, Field(ge=1)] = 6
    temperature: Temperature | tuple[Temperature, ...] = 2.0
    pool: Literal["linear", "geometric", "power"] = "geometric"
    exponent: Annotated[float, Field(ge=-1, le=1)] = 0.5
    weights: tuple[Annotated[float, Field(ge=0)], ...] | None = None
    mixture: Mixture = "linear"
    clip: Annotated[float, Field(gt=0, lt=0.1)] = 1e-8
    keep: Annotated[int, Field(ge=1)] | None = None
    start: Literal["fresh", "warm"] = "fresh"
    initial_labels: Annotated[int, Field(ge=1)] | None = None
    initial_steps: Annotated[int, Field(ge=1)] = 1000
    initial_optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine")
    steps: Annotated[int, Field(ge=1)] = 1000
    batch_size: Annotated[int, Field(ge=1)] = 128
    targets: Literal["live", "stored"] = "live"
    stop_below: Annotated[float, Field(ge=0)] | None = None
    optim: Optim = Optim(name="adamw", lr=1e-3, weight_decay=1e-4, schedule="cosine")
    views: Views = Views()
    teaching: Teaching = Teaching()

    @property
    def anchors(self) -> tuple[float, ...]:
        """The anchor of every generation."""
        return _schedule(self.anchor, self.generations, "anchor")

    def operator(self, generation: int, weights: tuple[float, ...] | None = None) -> MetaTeacher:
        """The rule that makes the teacher of a generation, counted from 1."""
        temperatures = _schedule(self.temperature, self.generations, "temperature")
        exponent = EXPONENTS.get(self.pool, self.exponent)
        return MetaTeacher(
            softening=Softening(temperatures[generation - 1]),
            pooling=Pooling(exponent, weights if self.weights is None else self.weights),
            anchoring=Anchoring(self.anchors[generation - 1], self.mixture),
            least=self.clip,
            keep=self.keep,
        )

    def distill(
        self,
        run: Run,
        *,
        teacher: EnsembleTeacher,
        student: nn.Module,
        data: Data,
        operator: MetaTeacher | None = None,
    ) -> Student:
        """Train the chain, save what it converged to, and return its last student.

        Args:
            run: the folder; ``convergence.json`` holds the report, ``probe.safetensors`` every
                generation's probabilities on the test split.
            teacher: the base teachers.
            student: the network of every generation.
            data: what they learn from; a classification task.
            operator: the rule of every generation, instead of the one that `anchor`,
                `temperature`, `pool`, `exponent`, `weights`, `mixture`, `clip` and `keep` make;
                its pooling may be a function of your own.

        Returns:
            The last student.

        Raises:
            SettingsError: a schedule or the weights do not fit.
        """
        rules = self._rules(teacher, operator)
        if rules[0].least * data.outputs >= 1:
            raise SettingsError(
                f"clip is {rules[0].least} for {data.outputs} classes, expected below 1/classes"
            )
        networks = self._chain(run, teacher, student, data, rules)
        self._report(run, teacher, networks, data, rules)
        return Student.of(networks[-1], data)

    def baselines(
        self,
        run: Run,
        *,
        teacher: EnsembleTeacher,
        student: nn.Module,
        data: Data,
        operator: MetaTeacher | None = None,
    ) -> dict[str, Student]:
        """The student on labels alone and on the pool alone, as many steps; and the first one."""
        rules = self._rules(teacher, operator)
        networks = self._chain(run, teacher, student, data, rules)
        steps = self.initial_steps + (len(networks) - 1) * self.steps
        alone, direct = copy.deepcopy(student), copy.deepcopy(student)
        self._labels(run, "alone", alone, data, steps)
        rule = dataclasses.replace(
            rules[-1], anchoring=dataclasses.replace(rules[-1].anchoring, anchor=1.0)
        )
        self._generation(run, "pool", direct, networks[0], teacher, rule, data, steps)
        return {
            "student alone": Student.of(alone, data),
            "generation 0": Student.of(networks[0], data),
            "pool at once": Student.of(direct, data),
        }

    def _chain(
        self,
        run: Run,
        base: EnsembleTeacher,
        student: nn.Module,
        data: Data,
        rules: Sequence[MetaTeacher],
    ) -> list[nn.Module]:
        """Train generation after generation; those that are done come back from the run."""
        if not any(rule.anchoring.anchor for rule in rules):
            warnings.warn(
                "anchor is 0 in every generation: the base teachers teach nothing and the chain "
                "drifts; give an anchor above 0",
                NoEffectWarning,
                stacklevel=2,
            )
        first = copy.deepcopy(student)
        self._labels(run, "generation-0", first, data, self.initial_steps)
        networks = [first]
        for number, rule in enumerate(rules, 1):
            begin = student if self.start == "fresh" else networks[-1]
            network = copy.deepcopy(begin).requires_grad_(True)
            stage = f"generation-{number}"
            self._generation(run, stage, network, networks[-1], base, rule, data, self.steps)
            networks.append(network)
            if self.stop_below is not None and number < self.generations:
                before, now = (_distance(rule, base, one, data) for one in networks[-2:])
                if before - now < self.stop_below:
                    break
        return networks

    def _rules(self, base: EnsembleTeacher, given: MetaTeacher | None) -> list[MetaTeacher]:
        """The operator of every generation."""
        weights = _weights(base, self.weights)
        if given is not None:
            if not isinstance(given, MetaTeacher) or weights is not None:
                raise SettingsError(
                    f"operator is {given!r}, expected a MetaTeacher, and the weights of the base "
                    f"teachers {weights}: give them to its pooling"
                )
            return [given] * self.generations
        return [self.operator(number, weights) for number in range(1, self.generations + 1)]

    def _labels(self, run: Run, stage: str, network: nn.Module, data: Data, steps: int) -> None:
        if self.initial_labels is not None:
            try:
                data = data.few(self.initial_labels, seed=run.seed)
            except DataError as error:
                raise SettingsError(f"initial_labels: {error}") from None
        fit(
            run,
            stage,
            network,
            data,
            None,
            label_term(data.task),
            self.initial_optim,
            steps,
            batch_size=self.batch_size,
            views=self.views,
        )

    def _generation(
        self,
        run: Run,
        stage: str,
        network: nn.Module,
        last: nn.Module,
        base: EnsembleTeacher,
        rule: MetaTeacher,
        data: Data,
        steps: int,
    ) -> None:
        source: Teacher = AnchoredTeacher(base, teacher(last, name=stage), rule)
        if self.targets == "stored":
            source = cached(source, run, dtype="float32")
        fit(
            run,
            stage,
            network,
            data,
            source,
            objective(rule),
            self.optim,
            steps,
            batch_size=self.batch_size,
            views=self.views,
        )

    def _report(
        self,
        run: Run,
        base: EnsembleTeacher,
        networks: list[nn.Module],
        data: Data,
        rules: Sequence[MetaTeacher],
    ) -> None:
        """Keep what every generation says about the test split, and what follows from it."""
        rules = rules[: len(networks) - 1]
        rule = rules[-1]
        anchorings = list(dict.fromkeys(one.anchoring for one in rules))
        members, target = _collected(base.members, data, data.test)
        logits, _ = _collected([teacher(one) for one in networks], data, data.test)
        probabilities, known = logits.double().softmax(-1), members.double().softmax(-1)
        meant = [one(last, known) for one, last in zip(rules, probabilities, strict=False)]
        matched = [one.soft(own) for one, own in zip(rules, probabilities[1:], strict=True)]
        chain = Chain(
            base=rule.base(known),
            students=rule.soft(probabilities),
            logits=logits,
            target=target,
            anchors=tuple(one.anchoring.anchor for one in rules),
            mixture=rule.anchoring.mixture,
            temperature=rule.softening.temperature,
            clipped=rule.clipped(torch.cat([known, probabilities])),
            temperatures=tuple(one.softening.temperature for one in rules),
            matches=(torch.stack(meant), torch.stack(matched)),
        )
        report = convergence_report(chain, seed=run.seed)
        spec = AxiomSpec("pool", trials=60, classes=(max(2, data.outputs),), seed=run.seed)
        axioms = [check_axioms(rule.pooling, spec)]
        spec = dataclasses.replace(spec, kind="anchoring")
        axioms += [check_axioms(one, spec) for one in anchorings]
        if run.engine.rank:
            return
        tensors = {
            "base": chain.base,
            "students": chain.students,
            "logits": logits,
            "members": members,
            "target": target,
        }
        files.save_tensors(run.dir / PROBE, tensors, {"operator": rule.name, "split": "test"})
        facts = {
            **report.to_plain(),
            "operator": rule.name,
            "start": self.start,
            "axioms": [one.to_plain() for one in axioms],
        }
        files.write_text(run.dir / CONVERGENCE, json.dumps(facts, indent=1) + "\n")
        charts, sheets = convergence_exhibits(report)
        write_exhibits(run.dir, charts, [*sheets, _axiom_sheet(axioms)])


def _schedule(value: float | tuple[float, ...], count: int, name: str) -> tuple[float, ...]:
    """One number a generation; the last of a short schedule goes on."""
    several = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(several) <= count:
        raise SettingsError(
            f"{name} has {len(several)} numbers for {count} generations: give one, or one a "
            "generation"
        )
    return several + several[-1:] * (count - len(several))


def _weights(base: EnsembleTeacher, given: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """Weights of the base teachers: the setting's, or the ensemble's own."""
    if base.route is not None:
        raise SettingsError(
            "the ensemble routes its members and a pool needs all of them; give an ensemble "
            "without a route"
        )
    if given is None:
        return None if base.weights is None else tuple(base.weights.tolist())
    if base.weights is not None:
        raise SettingsError("weights are set and the ensemble has its own; drop one of them")
    if len(given) != len(base.members) or not sum(given):
        raise SettingsError(
            f"weights are {given} for {len(base.members)} base teachers; give one a teacher, not "
            "all 0"
        )
    return given


def _collected(sources: Sequence[Source], data: Data, split: Split) -> tuple[Tensor, Tensor]:
    """Logits ``(K, N, C)`` of several sources on a split, and the labels."""
    said = [collect(one, data, split) for one in sources]
    return torch.stack([logits for logits, _ in said]), said[0][1]


def _distance(rule: MetaTeacher, base: EnsembleTeacher, network: nn.Module, data: Data) -> float:
    """Mean total variation to the pool on the validation split."""
    members, _ = _collected(base.members, data, data.validation)
    logits, _ = collect(teacher(network), data, data.validation)
    student = rule.soft(logits.double().softmax(-1))
    return float(total_variation(student, rule.base(members.double().softmax(-1))).mean())


def _axiom_sheet(reports: Sequence[AxiomReport]) -> Sheet:
    heads = reports[0].table()[0]
    rows = [[one.rule, *cells] for one in reports for cells in one.table()[1]]
    caption = "Tried on random and awkward distributions; worst inputs are in convergence.json."
    return Sheet("Axioms of the operators", ["operator", *heads], rows, caption)
