"""Proposals: which candidate of a space is looked at next, from those that were scored.

Each is a function of what is known and a key, so that a search that was stopped goes on alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from limbeck import keyed
from limbeck.loops.fitness import Fitness, Scores
from limbeck.networks.making import library
from limbeck.networks.spaces import Code, Space

History = Sequence[tuple[Code, Scores]]
# Space, what was scored in order, the settings of the search, fitness and key.
Proposal = Callable[[Space, History, Any, Fitness, int], Code]
# The estimator looks at so many candidates before it is one.
STARTING = 10


def at_random(space: Space, history: History, how: Any, fitness: Fitness, seed_key: int) -> Code:
    """Any candidate."""
    return space.sample(seed_key)


def of_the_young(space: Space, history: History, how: Any, fitness: Fitness, seed_key: int) -> Code:
    """Change the best of some of the last candidates; the first ones are any.

    The released code of DisWOT takes one of the five worst of eight; here the best one is taken,
    as published for ageing evolution.
    """
    if len(history) < how.population:
        return space.sample(seed_key)
    young = history[-how.population :]
    places = keyed.permutation(keyed.key(seed_key, "sample"), len(young))[: how.sample]
    sample = [young[int(place)] for place in places]
    values = fitness([scores for _, scores in sample])
    best = max(range(len(sample)), key=lambda place: values[place])
    return space.mutate(sample[best][0], keyed.key(seed_key, "mutation"), how.mutations)


def of_the_best(space: Space, history: History, how: Any, fitness: Fitness, seed_key: int) -> Code:
    """Change any of the best candidates so far; the first ones come from the first of all."""
    if not history:
        return space.sample(seed_key)
    key = keyed.key(seed_key, "mutation")
    if len(history) < how.seeded:
        # One choice, or two: a small space has few neighbours that differ in one.
        count = 1 + int(keyed.permutation(keyed.key(seed_key, "count"), 2)[0])
        return space.mutate(history[0][0], key, count)
    values = fitness([scores for _, scores in history])
    order = sorted(range(len(history)), key=lambda place: -values[place])[: how.population]
    parent = order[int(keyed.permutation(keyed.key(seed_key, "parent"), len(order))[0])]
    return space.mutate(history[parent][0], key, how.mutations)


def of_optuna(space: Space, history: History, how: Any, fitness: Fitness, seed_key: int) -> Code:
    """What Optuna's tree-structured Parzen estimator suggests, made anew from what is known.

    Raises:
        ModelError: Optuna is not installed.
    """
    optuna = library("optuna", "search")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = {
        name: optuna.distributions.CategoricalDistribution(range(len(values)))
        for name, values in space.choices.items()
    }
    seeded = optuna.samplers.TPESampler(seed=seed_key % 2**32, n_startup_trials=STARTING)
    study = optuna.create_study(direction="maximize", sampler=seeded)
    values = fitness([scores for _, scores in history])
    for (code, _), value in zip(history, values, strict=True):
        if math.isfinite(value):
            params = dict(zip(kinds, code, strict=True))
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=kinds, value=value)
            )
    trial = study.ask(kinds)
    return tuple(trial.params[name] for name in kinds)


PROPOSALS: dict[str, Proposal] = {
    "random": at_random,
    "evolve": of_the_young,
    "evolve-elite": of_the_best,
    "optuna": of_optuna,
}
