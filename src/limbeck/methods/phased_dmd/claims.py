"""What must hold for Phased DMD."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from limbeck import cards
from limbeck.claims import Claim, Trial, Verdict, by_means
from limbeck.evaluate.arms import judged_arms

NETWORK = "denoiser-mlp?width=128&depth=3"
TEACHING: dict[str, Any] = {"steps": 4000, "batch_size": 256}
# At equal updates: two phases of half as many, one student of all.
UPDATES = 600
MATCHING: dict[str, Any] = {"steps": UPDATES // 2, "fake_per_student": 3, "batch_size": 128}
COARSE = (-1.0, 0.0, 1.0, 2.0)
MODE_WIDTH, END, BINS = 0.1, 0.5, 40
# Of 600 means of bins none is as many standard errors off by chance.
UNLIKELY = 5.0


def targets_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Average the targets of a mixture of four normals in bins and compare with its velocity.

    Args:
        folder: of the run; nothing is written.
        seed: of the draws.

    Returns:
        Largest error over bins, of the unbiased and of the naive target, and the same in standard
        errors of a bin's mean.
    """
    import torch

    from limbeck.functional import add_noise, transition, transition_target
    from limbeck.keyed import key, torch_seeded

    levels = (0.55, 0.7, 0.9)
    errors: dict[str, list[float]] = {}
    with torch_seeded(key(seed, "targets")):
        for level in levels:
            count = 2_000_000
            x0, noise = _mixed(count), torch.randn(count, 1, dtype=torch.float64)
            x_s = (1 - END) * x0 + END * torch.randn(count, 1, dtype=torch.float64)
            start, end = 1 - END, END
            x_t = add_noise(x_s, noise, *transition(start, end, 1 - level, level))
            targets = {
                "unbiased": transition_target(x_s, noise, start, end, 1 - level, level),
                "naive": noise - x_s,
            }
            low, high = torch.quantile(x_t[:100_000], torch.tensor([0.02, 0.98]).double())
            place = ((x_t - low) / (high - low) * BINS).floor().long().squeeze(1)
            inside = (place >= 0) & (place < BINS)
            centres = x_t[inside].squeeze(1)
            exact = _velocity(centres, level)
            counts = torch.bincount(place[inside], minlength=BINS)
            for name, target in targets.items():
                gap = target[inside].squeeze(1) - exact
                mean, square = (
                    torch.bincount(place[inside], one, minlength=BINS) / counts
                    for one in (gap, gap.square())
                )
                deviation = ((square - mean.square()) / counts).sqrt()
                errors.setdefault(f"{name} error", []).append(float(mean.abs().max()))
                in_errors = float((mean / deviation).abs().max())
                errors.setdefault(f"{name} standard errors", []).append(in_errors)
    return {name: max(values) for name, values in errors.items()}


def _mixed(count: int) -> Any:
    import torch

    modes = torch.tensor(COARSE, dtype=torch.float64)
    drawn = modes[torch.randint(len(modes), (count,))]
    return (drawn + MODE_WIDTH * torch.randn(count, dtype=torch.float64))[:, None]


def _velocity(x: Any, level: Any) -> Any:
    """Exact mean of noise less sample under the mixture, ``(N,)``."""
    import torch

    modes = torch.tensor(COARSE, dtype=torch.float64)
    alpha, sigma = 1 - level, level
    variance = (alpha * MODE_WIDTH) ** 2 + sigma**2
    shares = (-(x[:, None] - alpha * modes).square() / (2 * variance)).softmax(1)
    gain = alpha * MODE_WIDTH**2 / variance
    x0 = (shares * (modes + gain * (x[:, None] - alpha * modes))).sum(1)
    return (x - alpha * x0) / sigma - x0


def velocity_nets_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Train velocity networks on levels above one half, on clean samples and on noised ones.

    Args:
        folder: of the run.
        seed: of the draws.

    Returns:
        How far trajectories from 1 to one half end from those of the exact velocity, on average.
    """
    import torch
    from torch import nn

    from limbeck.data.batch import Batch
    from limbeck.functional import add_noise, transition, transition_target
    from limbeck.keyed import key, torch_seeded
    from limbeck.loops import Optim, alternate
    from limbeck.run import Run
    from limbeck.run.run import At

    run, start, end = Run(folder, seed=seed), 1 - END, END

    def network() -> nn.Module:
        with torch_seeded(key(seed, "velocity")):
            sizes = (2, 128, 128, 128)
            layers = [
                layer
                for first, second in itertools.pairwise(sizes)
                for layer in (nn.Linear(first, second), nn.SiLU())
            ]
            return nn.Sequential(*layers, nn.Linear(128, 1))

    def step(models: dict[str, nn.Module], batch: Batch, at: At) -> dict[str, Any]:
        kind = at.stage
        x0, noise = _mixed(1024).float(), torch.randn(1024, 1)
        t = END + 0.02 + (1 - END - 0.02) * torch.rand(1024)
        if kind == "clean":
            x_t, goal = add_noise(x0, noise, 1 - t, t), noise - x0
            weight = torch.ones(1024, 1)
        else:
            x_s = add_noise(x0, torch.randn(1024, 1), start, end)
            between = transition(start, end, 1 - t, t)
            x_t = add_noise(x_s, noise, *between)
            goal = noise - x_s
            if kind == "unbiased":
                goal = transition_target(x_s, noise, start, end, 1 - t, t)
            weight = (1 / between[1].square()).clamp(max=10)[:, None] * between[1][:, None].square()
        said = models["net"](torch.cat([x_t, t[:, None]], 1))
        return {"loss": (weight * (said - goal).square()).mean()}

    with torch_seeded(key(seed, "start")):
        begun = torch.randn(2000, 1)
    truth = _carried(begun, lambda x, t: _velocity(x.double().squeeze(1), t).float()[:, None])
    found = {}
    for kind in ("clean", "unbiased", "naive"):
        net = network()
        optim = Optim("adam", lr=1e-3, schedule="cosine")
        alternate(run, kind, {"net": net}, {"net": optim}, 3000, step=step)
        with torch.no_grad():
            reached = _carried(begun, partial(_asked, net))
        found[kind] = float((reached - truth).abs().mean())
    return found


def _asked(net: Any, x: Any, t: float) -> Any:
    import torch

    return net(torch.cat([x, torch.full_like(x, t)], 1))


def _carried(x: Any, velocity: Callable[[Any, float], Any], steps: int = 100) -> Any:
    """Follow a velocity from level 1 to one half."""
    for number in range(steps):
        t = 1 - (1 - END) * (number + 0.5) / steps
        x = x - (1 - END) / steps * velocity(x, t)
    return x


def generators_of_a_seed(folder: Path, seed: int) -> dict[str, float]:
    """Train every generator that the claims compare, on two sets of points and on digits.

    Args:
        folder: of the runs.
        seed: of the runs.

    Returns:
        Figures by what is compared.
    """
    arms = {}
    for guidance in (1.0, 3.0):
        arms[f"phased, guidance {guidance:g}"] = phased(guidance)
        arms[f"naive, guidance {guidance:g}"] = phased(guidance, target="naive")
        arms[f"one student, guidance {guidance:g}"] = one_student(guidance)
    judged = judged_arms(folder / "ring", seed, "ring8-2c", NETWORK, arms)
    found = {name: one["sliced_wasserstein"] for name, one in judged.items()}
    for data, figure in (("overlap-2c", "mode_entropy"), ("digits", "diversity")):
        arms = {"phased": phased(2.0), "one student": one_student(2.0)}
        arms["one step"] = one_student(2.0, levels=(1.0,))
        for name, one in judged_arms(folder / data, seed, data, NETWORK, arms).items():
            found[f"{name} on {data}"] = one[figure]
    return found


def phased(guidance: float, **settings: Any) -> Any:
    """The method at a scale of guidance."""
    made = cards.load_class("phased-dmd")
    return made(guidance=guidance, matching=MATCHING, teaching=TEACHING, **settings)


def one_student(guidance: float, levels: tuple[float, ...] = (1.0, 0.75, 0.5, 0.25)) -> Any:
    """Plain distribution matching of one student, in as many updates as all phases have."""
    made = cards.load_class("decoupled-dmd")
    return made(
        sampler={"levels": levels},
        guidance=guidance,
        schedule="shared",
        matching={**MATCHING, "steps": UPDATES},
        teaching=TEACHING,
    )


def _compared(*names: str, holds: Callable[[dict[str, float]], bool]) -> Callable[..., Verdict]:
    """Decide by the mean figures of some generators."""

    def test(trial: Trial) -> Verdict:
        found = trial.of_seeds(generators_of_a_seed, MATCHING, TEACHING)
        return by_means({name: found[name] for name in names}, holds)

    return test


def unbiased_target(trial: Trial) -> Verdict:
    """Average targets in bins and hold them against the exact velocity."""
    found = trial.of_seeds(targets_of_a_seed)
    held = max(found["unbiased standard errors"]) < UNLIKELY < min(found["naive standard errors"])
    return Verdict(held, found)


def same_trajectories(trial: Trial) -> Verdict:
    """Train on levels above one half alone and follow the velocity there."""
    return by_means(
        trial.of_seeds(velocity_nets_of_a_seed),
        lambda mean: mean["unbiased"] < 2 * mean["clean"] and mean["naive"] > 2 * mean["unbiased"],
    )


def _falling(data: str) -> tuple[str, str, str]:
    return f"phased on {data}", f"one student on {data}", f"one step on {data}"


CLAIMS = [
    Claim(
        1,
        "The target at levels above a phase is the marginal velocity on average; the naive one is "
        "not.",
        unbiased_target,
    ),
    Claim(
        2,
        "A velocity network that sees noised samples alone, with that target, has the trajectories "
        "of one that sees clean samples; with the naive target it has others.",
        same_trajectories,
    ),
    Claim(
        3,
        "In as many updates two phases are nearer to the data than one four-step student, without "
        "guidance and with it.",
        _compared(
            *(
                f"{name}, guidance {scale}"
                for scale in (1, 3)
                for name in ("phased", "one student")
            ),
            holds=lambda mean: all(
                mean[f"phased, guidance {scale}"] < mean[f"one student, guidance {scale}"]
                for scale in (1, 3)
            ),
        ),
    ),
    Claim(
        4,
        "With the naive target phases are farther from the data.",
        _compared(
            *(f"{name}, guidance {scale}" for scale in (1, 3) for name in ("phased", "naive")),
            holds=lambda mean: all(
                mean[f"phased, guidance {scale}"] < mean[f"naive, guidance {scale}"]
                for scale in (1, 3)
            ),
        ),
    ),
    Claim(
        5,
        "Samples of a condition differ most from phases, less from one four-step student, least "
        "from one step.",
        _compared(
            *_falling("overlap-2c"),
            *_falling("digits"),
            holds=lambda mean: all(
                mean[first] >= mean[second]
                for data in ("overlap-2c", "digits")
                for first, second in itertools.pairwise(_falling(data))
            ),
        ),
    ),
]
