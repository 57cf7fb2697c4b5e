"""DATM: synthetic images that lead a student along the right stretch of an expert's training."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data import Data, Siamese
from limbeck.data.siamese import FULL, check_strategy
from limbeck.errors import ArgumentError, NotFiniteError, RunError, SettingsError
from limbeck.evaluate.protocol import Protocol
from limbeck.functional import (
    cross_entropy,
    learned_label_loss,
    relative_distance,
    start_epoch_upper_bound,
)
from limbeck.loops import Optim
from limbeck.loops.experts import Experts, Trajectories, trained_experts
from limbeck.loops.synthesize import Learned, moments_of, synthesize
from limbeck.loops.unroll import Batches, Gradient, Together, unroll
from limbeck.method import method
from limbeck.networks.flat import Flat
from limbeck.networks.fresh import check_repeatable, check_stateless, fresh
from limbeck.networks.names import build
from limbeck.objectives import Terms
from limbeck.products import SyntheticDataset
from limbeck.products.origins import Origins
from limbeck.products.showing import show_images
from limbeck.run import Run
from limbeck.run.run import At
from limbeck.selection.starts import Start, start_images

PROBE_STEPS = 3


@method("datm")
class DATM:
    r"""Match a student's weights after S steps on synthetic images with an expert's after M epochs.

    .. math:: J = \|\theta_S - \theta^*_{t+M}\|^2 \,/\, \|\theta^*_t - \theta^*_{t+M}\|^2

    Args:
        images_per_class: how many images are learned for each class.
        network: name of the architecture of experts and students.
        whitening: bring images through ZCA whitening instead of normalising them.
        augmentation: changes of the student's images, names joined by underscores; empty for none.
        experts: how experts are trained on the real data.
        start: where images start: ``"correct"`` (real ones that an expert gets right), ``"real"``
            (any real ones) or ``"noise"``.
        labels: ``"soft"`` labels start as the experts' logits and are learned, ``"hard"`` ones
            stay.
        steps: of the images.
        student_steps: S, steps of the student along one stretch.
        expert_epochs: M, epochs of the expert along it.
        batch_size: images a step of the student, at most all.
        stretches: how many students walk, each along a stretch of its own, before images learn
            from their mean.
        together: whether several students walk as one batched call (``"vmap"``) or one after
            another (``"loop"``); ``"auto"`` takes what is quicker in a probe of three steps, which
            changes the last bits.
        min_start_epoch: stretches begin here or later.
        first_max_start_epoch: they begin before this epoch at first.
        max_start_epoch: and before this one at last.
        growth_steps: how many steps that takes.
        sequential: whether the bound grows; if not it is the last from the start.
        threshold: steps with a larger J are dropped; None drops none.
        step_size: first learning rate of the student, learned too.
        image_optim: how images learn.
        label_optim: how soft labels learn.
        step_size_optim: how the step size learns.
        gradient: how the student's steps are differentiated through, see `limbeck.loops.unroll`.
        kept_steps: of ``"truncated"``.
        protocol: how the images are judged; its network is the one above.

    Source: Guo et al., arXiv 2310.05773, and NUS-HPC-AI-Lab/DATM.
    """

    images_per_class: Annotated[int, Field(ge=1)] = 10
    network: str = "convnet"
    whitening: bool = True
    augmentation: Annotated[str, AfterValidator(check_strategy)] = FULL
    experts: Experts = Experts()
    start: Start = "correct"
    labels: Literal["soft", "hard"] = "soft"
    steps: Annotated[int, Field(ge=1)] = 10_000
    student_steps: Annotated[int, Field(ge=1)] = 80
    expert_epochs: Annotated[int, Field(ge=1)] = 2
    batch_size: Annotated[int, Field(ge=1)] = 100
    stretches: Annotated[int, Field(ge=1)] = 1
    together: Literal["auto", "loop", "vmap"] = "auto"
    min_start_epoch: Annotated[int, Field(ge=0)] = 0
    first_max_start_epoch: Annotated[int, Field(ge=1)] = 10
    max_start_epoch: Annotated[int, Field(ge=1)] = 20
    growth_steps: Annotated[int, Field(ge=1)] = 1000
    sequential: bool = True
    threshold: Annotated[float, Field(gt=0)] | None = 1.0
    step_size: Annotated[float, Field(gt=0)] = 0.01
    image_optim: Optim = Optim("sgd", lr=100.0, momentum=0.5)
    label_optim: Optim = Optim("sgd", lr=2.0, momentum=0.9)
    step_size_optim: Optim = Optim("sgd", lr=1e-5, momentum=0.5)
    gradient: Gradient = "adjoint"
    kept_steps: Annotated[int, Field(ge=1)] = 8
    protocol: Protocol = Protocol(batch_size=128)

    def distill(
        self, run: Run, *, data: Data, network: nn.Module | None = None
    ) -> SyntheticDataset:
        """Train experts, choose start images, and learn images, labels and step size.

        Args:
            run: the folder.
            data: what the experts learn from; a classification of images.
            network: the architecture, where it is an object; without running statistics.

        Returns:
            The synthetic set.

        Raises:
            SettingsError: no stretch of an expert can begin where the settings say.
            ArgumentError: a class has too few images, or none that an expert gets right.
            ModelError: the network keeps running statistics, or does not repeat what it says.
            RunError: the loss is not finite; the stretch is named.
        """
        origins, network, experts = self._begin(run, data, network)
        images, label_logits, labels = start_images(
            "real" if run.trying else self.start,
            origins.data,
            experts.last(network),
            self.images_per_class,
            run.seed,
        )
        learned = {
            "images": Learned(images),
            "step_size": Learned(torch.tensor(self.step_size), positive=True),
        }
        optims = {"images": self.image_optim, "step_size": self.step_size_optim}
        if self.labels == "soft":
            learned["labels"] = Learned(label_logits)
            optims["labels"] = self.label_optim
        step = _Matching(self, run, Flat(network), experts, labels)
        step.choose({name: one.value for name, one in learned.items()})
        seen = synthesize(
            run,
            "synthetic",
            learned,
            optims,
            self.steps,
            step=step,
            accept=lambda terms: self.threshold is None or bool(terms["match"] <= self.threshold),
            watched="images",
            moments=moments_of(self.steps),
        )
        made = origins.dataset(
            learned["images"].value,
            labels,
            label_logits=learned["labels"].value if "labels" in learned else None,
            step_size=float(learned["step_size"].value.detach()),
            protocol=self._protocol(network),
            name="datm",
        )
        show_images(run, made, seen)
        return made

    def baselines(
        self, run: Run, *, data: Data, network: nn.Module | None = None
    ) -> dict[str, SyntheticDataset]:
        """Real images of the same number, chosen in three ways, and all of them."""
        origins, network, experts = self._begin(run, data, network)
        Flat(network).load(experts.weights(0, experts.epochs))
        return origins.baselines(
            network, self.images_per_class, self._protocol(network), self.experts.epochs, run.seed
        )

    def _begin(
        self, run: Run, data: Data, network: nn.Module | None
    ) -> tuple[Origins, nn.Module, Trajectories]:
        """The data in the space of the images, and experts trained on it."""
        self._check_window()
        # Experts and whitening take long: what they cannot mend is told first.
        self._check_counts(data)
        self._check_networks(data, network)
        origins = Origins.of(data, whitening=self.whitening, run=run)
        if network is None:
            with keyed.torch_seeded(keyed.key(run.seed, "network")):
                network = build(self.network, origins.data.input_space, data.outputs)
        experts = trained_experts(run, network, origins.data, self.experts)
        return origins, network.train(), experts

    def _check_networks(self, data: Data, network: nn.Module | None) -> None:
        for name in (network or self.network, *self.protocol.others):
            fresh(name, data.input_space, data.outputs, 0)
        network = network or build(self.network, data.input_space, data.outputs)
        check_stateless(network)
        if data.input_space is not None:
            check_repeatable(network, data.input_space)

    def _check_window(self) -> None:
        first = self.first_max_start_epoch if self.sequential else self.max_start_epoch
        low, last = self.min_start_epoch, self.max_start_epoch
        if not low < first <= last:
            raise SettingsError(
                f"stretches begin from epoch {low} to below {first}, later below {last}: there is "
                "none, or the bound falls; expected min_start_epoch < first_max_start_epoch <= "
                "max_start_epoch"
            )
        needed = last - 1 + self.expert_epochs
        if needed > self.experts.epochs:
            raise SettingsError(
                f"a stretch of {self.expert_epochs} epochs may begin at epoch {last - 1}, and "
                f"experts are trained for {self.experts.epochs}; raise experts.epochs to {needed} "
                "or lower max_start_epoch"
            )
        if self.start == "noise" and self.labels == "soft":
            raise SettingsError(
                "start is noise, about which experts have nothing to say, and labels are soft; "
                "take labels=hard or other start images"
            )

    def _check_counts(self, data: Data) -> None:
        assert data.train.y is not None
        counts = torch.bincount(data.train.y.long(), minlength=data.outputs)
        few = int(counts.argmin())
        if int(counts[few]) < self.images_per_class:
            raise ArgumentError(
                f"class {data.classes[few]!r} has {int(counts[few])} training images and "
                f"images_per_class is {self.images_per_class}; lower it, or give the class more"
            )

    def _protocol(self, network: nn.Module) -> Protocol:
        """With the network that experts and students are, by its name where it has one."""
        name = getattr(network, "limbeck_spec", type(network).__name__)
        return dataclasses.replace(self.protocol, network=name)


class _Matching:
    """One step: students walk along stretches of experts, and where they end is compared."""

    def __init__(
        self, settings: DATM, run: Run, network: Flat, experts: Trajectories, labels: Tensor
    ) -> None:
        self._settings, self._run, self._network = settings, run, network
        self._experts, self._labels = experts, labels
        self._together = settings.together == "vmap"

    def choose(self, values: Mapping[str, Tensor]) -> None:
        """Find out whether several students walk quicker together, once for a run."""
        if self._settings.stretches > 1 and self._settings.together == "auto":
            found = self._run.stage("probe", self._probe, values=dict(values))
            self._together = bool(found["together"])

    def __call__(self, values: Mapping[str, Tensor], at: At) -> Terms:
        settings = self._settings
        stretches = [self._stretch(at, number) for number in range(settings.stretches)]
        walked = " and ".join(
            f"epochs {epoch} to {epoch + settings.expert_epochs} of expert {expert}"
            for expert, epoch in stretches
        )
        try:
            match = self._match(values, at, stretches, self._together)
        except NotFiniteError:
            match = torch.tensor(math.nan)
        except ArgumentError as error:
            raise ArgumentError(f"step {at.step} along {walked}: {error}") from error
        if not bool(torch.isfinite(match)):
            raise RunError(
                f"the distance is not finite at step {at.step} along {walked}, with a step size of "
                f"{float(values['step_size'].detach()):.4g}; lower step_size, image_optim.lr "
                f"({settings.image_optim.lr:g}) or step_size_optim.lr "
                f"({settings.step_size_optim.lr:g})"
            )
        return {"match": match}

    def _match(
        self,
        values: Mapping[str, Tensor],
        at: At,
        stretches: Sequence[tuple[int, int]],
        together: bool,
    ) -> Tensor:
        settings, device = self._settings, values["images"].device
        ahead = settings.expert_epochs
        starts = [self._experts.weights(expert, epoch).to(device) for expert, epoch in stretches]
        goals = [
            self._experts.weights(expert, epoch + ahead).to(device) for expert, epoch in stretches
        ]
        labels = self._labels.to(device)
        chunks = [
            _Chunks(settings, keyed.key(at.key, number), values, labels)
            for number in range(len(stretches))
        ]
        if together:
            start, goal = torch.stack(starts), torch.stack(goals)
            return relative_distance(self._walked(start, Together(chunks), values), goal, start)
        walks = zip(starts, chunks, goals, strict=True)
        distances = [
            relative_distance(self._walked(start, chunk, values), goal, start)
            for start, chunk, goal in walks
        ]
        return torch.stack(distances).mean()

    def _walked(self, start: Tensor, batches: Batches, values: Mapping[str, Tensor]) -> Tensor:
        return unroll(
            self._network,
            start,
            batches,
            learned_label_loss if "labels" in values else cross_entropy,
            values["step_size"],
            gradient=self._settings.gradient,
            kept_steps=self._settings.kept_steps,
        )[-1]

    def _stretch(self, at: At, number: int) -> tuple[int, int]:
        """Every expert in turn, in an order of its own each time round; any epoch of the window."""
        settings, seed = self._settings, self._run.seed
        round_, place = divmod(at.step * settings.stretches + number, len(self._experts))
        order = keyed.permutation(keyed.key(seed, "experts", round_), len(self._experts))
        bound = start_epoch_upper_bound(
            at.step,
            first=settings.first_max_start_epoch,
            last=settings.max_start_epoch,
            growth_steps=settings.growth_steps,
            sequential=settings.sequential,
        )
        wide = bound - settings.min_start_epoch
        shuffled = keyed.permutation(keyed.key(at.key, "epoch", number), wide)
        return int(order[place]), settings.min_start_epoch + int(shuffled[0])

    def _probe(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seconds = {True: math.inf, False: math.inf}
        for step in range(PROBE_STEPS):
            at = self._run.at("probe", step)
            stretches = [self._stretch(at, number) for number in range(self._settings.stretches)]
            for together in seconds:
                given = {name: one.detach().requires_grad_() for name, one in values.items()}
                begun = time.perf_counter()
                try:
                    self._match(given, at, stretches, together).backward()
                except RuntimeError:
                    # Some networks cannot be batched; the loop would tell of any other cause.
                    if not together:
                        raise
                    continue
                seconds[together] = min(seconds[together], time.perf_counter() - begun)
        return {"together": torch.tensor(seconds[True] < seconds[False])}


class _Chunks:
    """What the student sees: chunks of a shuffled set, each changed at random."""

    def __init__(
        self, settings: DATM, seed_key: int, values: Mapping[str, Tensor], labels: Tensor
    ) -> None:
        soft = (values["labels"],) if "labels" in values else ()
        self.sources = (values["images"], *soft)
        self._labels, self._key, self._steps = labels, seed_key, settings.student_steps
        self._size = min(settings.batch_size, len(labels))
        self._change = Siamese(settings.augmentation)

    def __len__(self) -> int:
        return self._steps

    def __call__(self, step: int, *sources: Tensor) -> tuple[Tensor, Tensor]:
        images, count = sources[0], len(self._labels)
        target = sources[1] if len(sources) > 1 else self._labels
        if self._size < count:
            round_, place = divmod(step, -(-count // self._size))
            order = torch.from_numpy(
                keyed.permutation(keyed.key(self._key, "order", round_), count)
            )
            # As published, chunks are taken from the end: a smaller one comes first.
            rows = order.split(self._size)[-1 - place].to(images.device)
            images, target = images[rows], target[rows]
        return self._change.apply(images, keyed.key(self._key, "student", step)), target
