"""DisWOT: the student that will learn most from a teacher, chosen before anything is trained."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from torch import Tensor, nn

from limbeck import keyed
from limbeck.data import Data
from limbeck.errors import ModelError, SettingsError, nearest
from limbeck.evaluate.cost import architecture_cost, latency_ms
from limbeck.features import find_last_layer
from limbeck.loops.fit import check_model
from limbeck.loops.fitness import fitness_named
from limbeck.loops.proxies import PROXIES
from limbeck.loops.search import Limits, Rejected, Search, Searched, search
from limbeck.method import method
from limbeck.methods.diswot.similarity import (
    RELATION,
    SEMANTIC,
    Begin,
    Compare,
    Images,
    Similarity,
    architecture,
    one_batch,
    overflowing,
    taking_inputs,
)
from limbeck.networks.spaces import Code, Space, space_of
from limbeck.products import Shortlist
from limbeck.run import Run

COMBINED = (SEMANTIC, RELATION)
Score = Literal["rank-sum", "sum", "semantic", "relation"]


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in PROXIES:
            raise SettingsError(f"there is no proxy {name!r}; {nearest(name, PROXIES)}")
    return names


@method("diswot")
class DisWOT:
    r"""Candidates ranked by how alike they and the teacher behave before either is trained.

    .. math:: S = -\frac{1}{CD} \sum_c \| \hat G^s_c - \hat G^t_c \|_F^2
        - \frac{1}{N^2} \| \hat A^s - \hat A^t \|_F^2

    of one batch of N images: G are the correlations of channels that the gradients of the last
    layer have in each of C classes, A the similarities of the samples before pooling, rows of both
    scaled to length 1.

    Args:
        batch_size: images that all networks are shown.
        images: ``"data"``, or ``"noise"`` with labels by chance.
        initialisation: how weights are drawn: ``"normal"`` from N(0, 1) whatever the width of a
            layer, ``"kaiming"``, or as networks are ``"built"``.
        initialisations: how often; scores are means.
        score: ``"rank-sum"`` gives both similarities the same say; ``"sum"`` is published, and
            little else than ``"semantic"``, whose numbers are larger; or ``"relation"``.
        compare: gradients by ``"channels"``, which needs last layers of one width, or by
            ``"classes"``, an extension that does not.
        others: scores that stand beside: ``"nwot"``, ``"synflow"``, ``"snip"``,
            ``"gradient-norm"`` and ``"zen"``.
        search: which candidates are looked at.
        limits: what a candidate may cost.
        keep: entries of the shortlist.

    Source: Dong, Li and Wei, arXiv 2303.15678.
    """

    batch_size: Annotated[int, Field(ge=2)] = 64
    images: Images = "data"
    initialisation: Begin = "normal"
    initialisations: Annotated[int, Field(ge=1)] = 2
    score: Score = "rank-sum"
    compare: Compare = "channels"
    others: Annotated[tuple[str, ...], AfterValidator(_known)] = ()
    search: Search = Search()
    limits: Limits = Limits()
    keep: Annotated[int, Field(ge=1)] = 10

    def assemble(self, run: Run, ready: Mapping[str, Any]) -> dict[str, Any]:
        """The teacher's architecture, and the space.

        Raises:
            ArgumentError: the space is none, or too large to enumerate.
            ModelError: there is not one teacher, or it does not fit the data.
        """
        data: Data = ready["data"]
        space = space_of(ready["space"])
        self.search.check(space)
        teacher = architecture(ready["teacher"], data, run.seed)
        check_model(teacher, data, "the teacher")
        find_last_layer(teacher, one_batch(data, 2, "data", run.seed)[0], data.outputs)
        return {"teacher": teacher, "space": space, "data": data}

    def distill(self, run: Run, *, teacher: nn.Module, space: Space, data: Data) -> Shortlist:
        """Score candidates and keep the best.

        Args:
            run: the folder.
            teacher: an architecture: its weights are not looked at.
            space: the candidates.
            data: a batch of it is shown.

        Returns:
            The shortlist.

        Raises:
            ArgumentError: no candidate could be scored.
            ModelError: the teacher, or every candidate, gives NaN or infinity.
        """
        found = self._searched(run, teacher, space, data)
        return self._shortlist(found, space, keep=self.keep)

    def baselines(
        self, run: Run, *, teacher: nn.Module, space: Space, data: Data
    ) -> dict[str, Shortlist]:
        """What size alone puts first among those scored, and what chance finds with as many."""
        found = self._searched(run, teacher, space, data)
        made = {
            f"most {name}": self._shortlist(found, space, keep=1, by=name)
            for name in ("parameters", "depth")
        }
        if self.search.strategy == "enumerate":
            key = keyed.key(run.seed, "any")
            any_one = found.history[int(keyed.permutation(key, len(found.history))[0])]
            return made | {"any": self._shortlist(Searched([any_one]), space, keep=1)}
        chance = Search(strategy="random", evaluations=len(found.history))
        random = self._searched(run, teacher, space, data, chance)
        return made | {"random search": self._shortlist(random, space, keep=1)}

    def _searched(
        self,
        run: Run,
        teacher: nn.Module,
        space: Space,
        data: Data,
        chance: Search | None = None,
    ) -> Searched:
        """Score candidates, or read back those that were scored."""
        stage = "search" if chance is None else "random"
        device = run.engine.device
        x, y = one_batch(data, self.batch_size, self.images, run.seed)
        similarity = Similarity(
            teacher.to(device),
            x.to(device),
            y.to(device),
            data.outputs,
            data.input_space,
            begin=self.initialisation,
            times=self.initialisations,
            compare=self.compare,
            others=self.others,
            seed=run.seed,
        )
        told = functools.partial(self._told, similarity, space, data)
        fitness = fitness_named(self.score, COMBINED)
        found = search(run, stage, space, told, chance or self.search, fitness=fitness)
        if not any(math.isfinite(one.scores[RELATION]) for one in found.history):
            raise ModelError(
                f"all {len(found.history)} candidates give NaN or infinity "
                f"{overflowing(self.initialisation)}"
            )
        return found

    def _told(
        self, similarity: Similarity, space: Space, data: Data, code: Code
    ) -> tuple[dict[str, float], dict[str, float]]:
        """Scores of a candidate, and what it costs.

        Raises:
            Rejected: it is no network for the data, costs too much, or cannot be compared.
        """
        name, x = space.words(code), similarity.x
        try:
            with keyed.torch_seeded(keyed.key(similarity.seed, "built", name)):
                network = space.build(code, data.input_space, data.outputs)
        except ModelError as error:
            raise Rejected("no network", str(error)) from None
        network = network.to(x.device)
        cost = costs_of(network, x)
        timed = {} if self.limits.latency_ms is None else {"latency_ms": latency_ms(network, x)}
        self.limits.check(cost | timed)
        return similarity.scores(network, name), cost

    def _shortlist(
        self, found: Searched, space: Space, *, keep: int, by: str = "score"
    ) -> Shortlist:
        return Shortlist.of(
            found, space, self.score, COMBINED, keep=keep, by=by, facts={"space": space.name}
        )


def costs_of(network: nn.Module, x: Tensor) -> dict[str, float]:
    """What a candidate costs.

    Raises:
        Rejected: it cannot take the inputs.
    """
    try:
        with taking_inputs():
            return architecture_cost(network, x)
    except ModelError as error:
        raise Rejected("outputs", str(error)) from None
