"""Generator: a denoiser with the few levels it is asked at, which makes samples from noise."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from limbeck import files, keyed
from limbeck.data.centred import centred
from limbeck.data.data import Data
from limbeck.data.space import InputSpace
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.cost import evaluation_cost
from limbeck.evaluate.generators import generator_rows
from limbeck.features import on_device
from limbeck.products.described import Described
from limbeck.products.fitting import check_same, check_shape
from limbeck.run.run import Run
from limbeck.samplers.few_step import FewStep, Moment, evaluations, sample, steps
from limbeck.samplers.noise import unit_noise

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin

TASK = "classification"
# Samples made together: a power of two, so that parts of equal size are the rule.
CHUNK = 512
# Steps of a teacher that takes its time, at least, and of those shown beside it.
LONG, SHOWN = 50, (1, 4)


class Generator(Described):
    """A network that makes samples in a few steps.

    Args:
        network: a `Denoiser`, or a `Routed` of several.
        sampler: the levels at which it is asked.
        space: of the samples as the network makes them, or None where they are what is wanted.
        classes: names of the conditions; those of a network without conditions name the data.
        learned: scale of the guidance against the null condition that it learned to do without;
            1 is none, None where that is not known.

    Example:
        >>> from limbeck.networks.names import build
        >>> network = build("denoiser-mlp?width=8", InputSpace((2,)), 2)
        >>> points = Generator(network, steps(2), InputSpace((2,)), ("left", "right"))
        >>> points.sample(3).shape, points.sample([1, 1]).shape
        (torch.Size([3, 2]), torch.Size([2, 2]))
    """

    def __init__(
        self,
        network: nn.Module,
        sampler: FewStep,
        space: InputSpace | None = None,
        classes: tuple[str, ...] = (),
        *,
        learned: float | None = None,
    ) -> None:
        self.network: Any = network.eval().requires_grad_(False)
        self.sampler, self.space, self.classes = sampler, space, tuple(classes)
        self.learned = learned

    @classmethod
    def of(
        cls, network: nn.Module, sampler: FewStep, data: Data, *, learned: float | None = None
    ) -> Generator:
        """Make a generator of a network that learned to denoise some data, centred."""
        return cls(network, sampler, centred(data).input_space, data.classes, learned=learned)

    @property
    def conditional(self) -> bool:
        """Whether samples can be asked for by class."""
        return bool(self.network.conditional)

    def sample(
        self, wanted: int | Sequence[int] | Tensor, *, seed: int = 0, as_bytes: bool = False
    ) -> Tensor:
        """Make samples.

        Sample n of a seed is made from the same noise, however many are asked for.

        Args:
            wanted: how many, whose classes go round; or their classes ``(N,)``.
            seed: of the noise.
            as_bytes: images as bytes, 0 and 255 standing for the ends of their range.

        Returns:
            ``(N, ...)`` on the CPU, in the value range of the data; images are clipped to it.

        Raises:
            ArgumentError: there is no such class, or bytes are asked of what are no images.
        """
        conditions = self._conditions(wanted)
        parts = [self._made(conditions, ids, seed) for ids in _chunks(len(conditions))]
        return self._shown(torch.cat(parts), as_bytes)

    def path(
        self, wanted: int | Sequence[int] | Tensor, *, seed: int = 0, as_bytes: bool = False
    ) -> dict[float, Tensor]:
        """What the network takes for the clean sample at every level, from the noisiest on.

        Args:
            wanted: as of `sample`.
            seed: as of `sample`.
            as_bytes: as of `sample`.

        Returns:
            By level ``(N, ...)``; the last are what `sample` gives.
        """
        conditions = self._conditions(wanted)
        found: dict[float, list[Tensor]] = {level: [] for level in self.sampler.levels}
        for ids in _chunks(len(conditions)):
            trace: list[Moment] = []
            self._made(conditions, ids, seed, trace)
            for level, _, clean in trace:
                found[level].append(clean.cpu())
        return {level: self._shown(torch.cat(one), as_bytes) for level, one in found.items()}

    def _made(
        self, conditions: Tensor, ids: np.ndarray, seed: int, trace: list[Moment] | None = None
    ) -> Tensor:
        """Some of the samples, by their numbers, as the network makes them."""
        like = next(self.network.parameters(), torch.zeros(()))
        key = keyed.key("generator", seed)
        made = sample(
            self.network,
            unit_noise(keyed.key(key, "noise"), ids, self.network.shape).to(like),
            conditions[ids].to(like.device) if self.conditional else None,
            self.sampler,
            key,
            ids=ids,
            trace=trace,
        )
        return made.cpu()

    def _conditions(self, wanted: int | Sequence[int] | Tensor) -> Tensor:
        count = max(1, len(self.classes))
        if isinstance(wanted, (int, np.integer)):
            if wanted < 1:
                raise ArgumentError(f"{wanted} samples are asked for, expected 1 or more")
            return torch.arange(int(wanted)) % count
        asked = torch.as_tensor(wanted).long().reshape(-1).cpu()
        if not len(asked) or int(asked.min()) < 0 or int(asked.max()) >= count:
            raise ArgumentError(
                f"classes are {asked.tolist()[:5]}, expected one or more numbers from 0 to "
                f"{count - 1}"
            )
        return asked

    def _shown(self, made: Tensor, as_bytes: bool) -> Tensor:
        space = self.space
        image = space is not None and space.channels is not None
        if as_bytes and not image:
            raise ArgumentError("samples are no images; take them as numbers: as_bytes=False")
        if space is None:
            return made
        if as_bytes:
            return space.to_bytes(made)
        shown = space.denormalise(made)
        return shown.clamp(*space.range) if image else shown

    def see(self, data: Data) -> None:
        """Raise unless data is what this generator makes.

        Raises:
            ModelError: the data has another task, other classes, or samples of another shape or
                value range.
        """
        check_same(data, TASK, len(self.classes), self.classes, "the generator", "is for")
        given, own = data.input_space, self.space
        if own is None or given is None:
            raise ModelError(f"the generator or {data.name} has no input space to compare by")
        check_shape(data, own, "the generator makes")
        if own.channels is not None and own.range != given.range:
            raise ModelError(
                f"the generator makes values from {own.range[0]:g} to {own.range[1]:g} and those "
                f"of {data.name} go from {given.range[0]:g} to {given.range[1]:g}"
            )

    def cost(self) -> dict[str, float]:
        """What a sample costs: evaluations of the network, and what one of them takes."""
        asked = evaluations(self.sampler, self.conditional)
        return {"evaluations": asked, **evaluation_cost(self.network, self.sampler.levels[0])}

    def evaluate(self, data: Data) -> dict[str, float]:
        """Quality of samples beside the test split of some data."""
        return self.measure(data)["quality"]

    def measure(self, data: Data) -> dict[str, Any]:
        """A row of quality beside cost, samples being held against the test split of some data."""
        self.see(data)
        with tempfile.TemporaryDirectory() as folder:
            return generator_rows(Run(folder), {"generator": self}, data)[0][0]

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, Generator],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this generator and of those it is compared with, on equal noise and labels.

        Samples of all, and how this one comes to its own, are put beside the run's files.

        Args:
            run: where the network that judges images is kept.
            name: of this generator's row.
            baselines: others by name, as `teachers` has them: first the teacher in as many steps,
                then the teacher in many, then references.
            inputs: of the method: ``data``.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}`` and an empty table.
        """
        # Here, because what shows a generator reads what this module defines.
        from limbeck.products.showing_samples import show_samples

        data = inputs["data"]
        entries = {name: self, **baselines}
        for one in entries.values():
            one.see(data)
        with on_device(run.engine.device, *(one.network for one in entries.values())):
            rows, made = generator_rows(run, entries, data)
            if run.engine.rank == 0:
                show_samples(run, self, made, data)
        return rows, {}

    def predict(self, x: Any = None) -> NoReturn:
        """Raise `ModelError`: this product makes samples and predicts nothing."""
        raise ModelError(
            "the product is a generator: it makes samples and predicts nothing; use sample(64), or "
            "on the command line: limbeck sample RUN --count 64 --to FILE.png"
        )

    def summary(self) -> str:
        """One line about the generator."""
        count = sum(one.numel() for one in self.network.parameters())
        size = " x ".join(map(str, self.network.shape))
        asked = f"{evaluations(self.sampler, self.conditional):g}"
        levels = ", ".join(f"{level:g}" for level in self.sampler.levels)
        classes = f"{len(self.classes)} classes" if self.conditional else "no conditions"
        if self.learned not in (None, 1):
            classes += f", learned with guidance {self.learned:g} against class {self.network.null}"
        return (
            f"{type(self.network).__name__}: {count:,} parameters, samples of {size} in {asked} "
            f"evaluations at levels {levels} ({self.sampler.kind}), {classes}"
        )

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by name: the weights of all experts."""
        return dict(self.network.state_dict())

    def write(self, part: Path) -> None:
        """Put the generator's files into a folder that `limbeck.files.new_folder` makes whole."""
        from limbeck.products.generator_files import write_generator

        write_generator(self, part)

    def save(self, dir: str | Path) -> None:
        """Write the generator: weights and facts, no code, no time, no path.

        Args:
            dir: the folder; an older one there is replaced.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    @classmethod
    def load(cls, dir: str | Path, network: nn.Module | None = None) -> Generator:
        """Read what `save` wrote.

        Args:
            dir: the folder.
            network: to fill with the weights, where it was an object of the user's own class.

        Raises:
            CorruptFileError: a file is missing or was altered.
            ModelError: the network is needed, or does not fit the weights.
        """
        from limbeck.products.generator_files import read_generator

        return read_generator(Path(dir), network)

    def export(self, dir: str | Path, *, to: str, origin: Origin | None = None) -> dict[str, Any]:
        """Write the generator in a form that other programs read, beside a file that explains it.

        ``generator.json`` holds classes, shapes, and for every level its time, alpha and sigma.

        Args:
            dir: the folder; an earlier export of the same generator is replaced.
            to: ``"safetensors"`` (weights, which `limbeck.load` reads), ``"onnx"`` (the network,
                one evaluation), or ``"diffusers"`` (a folder with its own pipeline and a card).
            origin: the run that the generator comes from, for its card.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` where what was
            written was run beside the generator.

        Raises:
            ArgumentError: the format is unknown.
            ModelError: a library is missing, the generator has no such form, or what was written
                differs by more than 1e-4.
            RunError: the folder holds something else or cannot be written.
        """
        from limbeck.products.generator_exporting import export

        return export(self, dir, to=to, origin=origin)


def teachers(teacher: nn.Module, data: Data, count: int, guidance: float) -> dict[str, Generator]:
    """A teacher's own samplers, for a table: in as many steps as a student, in many, in 1 and 4.

    Args:
        teacher: a denoiser.
        data: that it learned from.
        count: steps of the student.
        guidance: of the teacher.

    Returns:
        Generators by what to call them, in the order that `Generator.compared` expects.
    """
    counts = dict.fromkeys((count, max(LONG, 2 * count), *SHOWN))
    return {
        f"teacher in {one} step{'s' * (one > 1)}": Generator.of(
            teacher, steps(one, guidance=guidance), data
        )
        for one in counts
    }


def _chunks(count: int) -> Iterator[np.ndarray]:
    """Numbers of the samples that are made together."""
    for start in range(0, count, CHUNK):
        yield np.arange(start, min(start + CHUNK, count))
