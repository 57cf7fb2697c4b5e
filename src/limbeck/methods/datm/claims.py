"""What must hold for DATM."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict, by_means, source_fingerprint

DEMO = cards.preset("datm", "demo")
EARLY, LATE = {"max_start_epoch": 4}, {"min_start_epoch": 8, "max_start_epoch": 12}
# One image a class for 250 steps, ten for 120.
FEW, MANY = {"images_per_class": 1, "steps": 250}, {"images_per_class": 10, "steps": 120}
SETTINGS = {
    "early 1": {**FEW, **EARLY},
    "late 1": {**FEW, **LATE},
    "early 10": {**MANY, **EARLY},
    "late 10": {**MANY, **LATE},
}
SELECTED = ("random images", "k-means images", "k-center images")


def learned_sets(folder: Path, seed: int) -> dict[str, float]:
    """Learn four sets from the experts of one seed; judge them and real images of their number.

    Args:
        folder: of the runs.
        seed: of the runs.

    Returns:
        Accuracy of networks trained on each, by name.
    """
    from limbeck.data.names import resolve
    from limbeck.method import complete
    from limbeck.methods.datm.datm import DATM
    from limbeck.run import Run

    data, accuracy = resolve(DEMO["inputs"]["data"]), {}
    shared = None
    for name, change in SETTINGS.items():
        method: Any = DATM(**{**DEMO["settings"], **change})
        run = Run(folder / name, seed=seed, shared=shared)
        made, real, _ = complete(method, run, {"data": data})
        accuracy[name] = made.judged(data, run).mean
        if name.startswith("early"):
            for label in SELECTED:
                found = real[label].judged(data, run)
                accuracy[f"{label} {change['images_per_class']}"] = found.mean
        shared = shared or run.dir
    return accuracy


def _verdict(number: int, holds: Callable[[dict[str, float]], bool]) -> Callable[[Trial], Verdict]:
    """Decide by the means of the sets with so many images a class; all their figures are shown."""

    def test(trial: Trial) -> Verdict:
        accuracies = trial.of_seeds(learned_sets, DEMO, SETTINGS)
        shown = {
            name.removesuffix(f" {number}").replace(" ", "_"): values
            for name, values in accuracies.items()
            if name.endswith(f" {number}")
        }
        return by_means(shown, holds)

    return test


def inert_when_open(trial: Trial) -> Verdict:
    """Compare, to the bit, a gate that lets all pass and a bound that stays with having neither."""
    from limbeck.data import digits
    from limbeck.fingerprint import fingerprint
    from limbeck.methods.datm.datm import DATM
    from limbeck.run import Run

    tiny, equal = cards.preset("datm", "tiny"), []
    for seed in trial.seeds:
        base = {**tiny["settings"], "steps": 30, "first_max_start_epoch": 2}
        plain = {**base, "threshold": None, "sequential": False}
        opened = {**base, "threshold": 1e30, "sequential": True}
        tensors = []
        for name, settings in (("plain", plain), ("open", opened)):
            place = trial.folder / "inert" / f"{name}-{seed}-{source_fingerprint()}"
            made = DATM(**settings).distill(Run(place, seed=seed), data=digits())
            tensors.append(fingerprint(made.tensors(), made.step_size))
        equal.append(tensors[0] == tensors[1])
    return Verdict(all(equal), {"bitwise_equal": equal})


def gradients_agree(trial: Trial) -> Verdict:
    """Compare the ways to differentiate through the student's steps, in double precision."""
    figures: dict[str, list[float]] = {"adjoint_error": [], "one_step_error": [], "cosine_at_8": []}
    for seed in trial.seeds:
        exact, adjoint, constant = (
            _image_gradient(seed, 8, way) for way in ("unroll", "adjoint", "constant-memory")
        )
        figures["adjoint_error"].append(float((adjoint - exact).norm() / exact.norm()))
        cosine = float((constant * exact).sum() / (constant.norm() * exact.norm()))
        figures["cosine_at_8"].append(cosine)
        exact, constant = (_image_gradient(seed, 1, way) for way in ("unroll", "constant-memory"))
        figures["one_step_error"].append(float((constant - exact).norm() / exact.norm()))
    exact_ones = [*figures["adjoint_error"], *figures["one_step_error"]]
    held = max(exact_ones) < 1e-6 and max(figures["cosine_at_8"]) < 1 - 1e-6
    return Verdict(held, figures)


def _image_gradient(seed: int, steps: int, way: Any) -> Any:
    """The gradient of the distance with respect to images, labels and step size, as one vector."""
    import torch

    from limbeck.data import InputSpace
    from limbeck.functional import learned_label_loss, relative_distance
    from limbeck.keyed import torch_seeded
    from limbeck.loops.unroll import unroll
    from limbeck.networks.flat import Flat
    from limbeck.networks.names import build

    with torch_seeded(seed):
        network = Flat(build("convnet-d2?width=4", InputSpace((12, 12), 1), 10).double())
        start = network.vector()
        goal = start + 0.05 * torch.randn_like(start)
        images = torch.randn(10, 1, 12, 12, dtype=torch.float64).requires_grad_()
        labels = torch.randn(10, 10, dtype=torch.float64).requires_grad_()
    rate = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    pairs = [(images, labels)] * steps
    end = unroll(network, start, pairs, learned_label_loss, rate, gradient=way)[-1]
    found = torch.autograd.grad(relative_distance(end, goal, start), [images, labels, rate])
    return torch.cat([one.flatten() for one in found])


CLAIMS = [
    Claim(
        1,
        "One image a class, matched to early epochs, beats random images by more than 10 points.",
        _verdict(1, lambda mean: mean["early"] > mean["random_images"] + 0.1),
    ),
    Claim(
        2,
        "With one image a class early stretches beat late ones.",
        _verdict(1, lambda mean: mean["early"] > mean["late"]),
    ),
    Claim(
        3,
        "With ten images a class late stretches beat early ones, which are not better than random "
        "images.",
        _verdict(
            10,
            lambda mean: mean["late"] > mean["early"] and mean["early"] <= mean["random_images"],
        ),
    ),
    Claim(
        4,
        "A gate that lets all pass and a bound that does not grow change no bit of plain matching "
        "with soft labels.",
        inert_when_open,
    ),
    Claim(
        5,
        "The adjoint's gradient is that of all graphs to 1e-6; with states as constants it is for "
        "one step, and deviates for more.",
        gradients_agree,
    ),
]
