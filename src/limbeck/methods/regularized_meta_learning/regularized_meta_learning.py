"""Regularised meta-learning: of many members those that say something of their own, blended."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal

from pydantic import Field
from sklearn.exceptions import ConvergenceWarning

from limbeck import keyed
from limbeck.bridges.sklearn import (
    RegularizedStackingClassifier,
    RegularizedStackingRegressor,
)
from limbeck.bridges.sklearn.linear import L1_RATIOS
from limbeck.columns import predicted
from limbeck.data import Data
from limbeck.data.checking import check_unseen
from limbeck.errors import Interrupted
from limbeck.loops.teach import Teaching
from limbeck.method import method
from limbeck.methods.regularized_meta_learning.gathering import from_folds, from_split
from limbeck.methods.regularized_meta_learning.members import (
    TABLE,
    Column,
    MemberTable,
    write_table,
)
from limbeck.methods.regularized_meta_learning.plain import plain_stacks
from limbeck.methods.regularized_meta_learning.pools import POOLS
from limbeck.methods.regularized_meta_learning.telling import drawings, fold_rows, told
from limbeck.products import StackedPredictor
from limbeck.products.stacking_rules import LinearRule, LogisticRule, Rule
from limbeck.run import Run
from limbeck.run.exhibits import write_exhibits
from limbeck.run.interrupt import deferred

Stack = RegularizedStackingRegressor | RegularizedStackingClassifier
Share = Annotated[float, Field(ge=0)]
Strength = Annotated[float, Field(gt=0)]
Folds = Annotated[int, Field(ge=2)]


@method("regularized-meta-learning")
class RegularizedMetaLearning:
    r"""Leave out members that repeat a better one, and blend penalised regressions of the rest.

    A column of the table :math:`X` holds what a member says of rows that it did not see. From the
    best member on, one goes whose correlation with a better one is at least :math:`\tau_\rho`
    while their mean squared difference is at most :math:`\tau_d`. Statistics of each row join
    those that stay. Ridge, lasso and elastic net, each with a penalty from nested
    cross-validation, are blended by :math:`w_g \propto 1 / \mathrm{RMSE}_g`. For classes,
    limbeck's own extension: log-odds and one multinomial logistic regression.

    Args:
        fit_on: ``"folds"`` trains every member once a fold and stacks on the rows it did not see;
            ``"validation"`` takes members as they come or trains them once, and stacks on the
            validation split.
        target: column to predict, of data that are a table given by name.
        pool: names of members where no teacher is given; None takes ten or so of scikit-learn.
        cv: number of folds, of members and of the regressions on them.
        inner_cv: how many groups of folds choose a penalty.
        inner_split: ``"folds"`` keeps folds whole, ``"rows"`` is as in the authors' code.
        correlation: :math:`\tau_\rho`.
        squared_difference: :math:`\tau_d`.
        variance: members with less variance go; None takes 0.01, for classes 0.001.
        relative: the two above are multiples of the variance of the target, of classes of its 1
            for a sample's own class and 0 for others; False takes them as the authors do, in
            squared units. None is True, for classes False.
        statistics: of a regression, add mean, deviation, median and range of each row.
        interactions: of a regression, add mean and range times deviation.
        penalties: of a regression, what is blended.
        alphas: strengths to choose from, by penalty; what is missing takes the published grid.
        l1_ratios: shares of absolute weights that elastic net chooses from.
        strengths: of classes, inverse penalties to choose from.
        refit: predict by members trained on all rows; False averages those of the folds.
        max_iter: passes of each regression at most.
        rounds: of greedy hill climbing, which is shown beside.
        teaching: how members that are networks are trained.

    Source: Mohammad and Meherab, arXiv 2602.12469.
    """

    fit_on: Literal["folds", "validation"] = "folds"
    target: str | None = None
    pool: tuple[str, ...] | None = None
    cv: Folds = 10
    inner_cv: Folds = 3
    inner_split: Literal["folds", "rows"] = "folds"
    correlation: Annotated[float, Field(ge=-1, le=1)] = 0.95
    squared_difference: Share = 0.01
    variance: Share | None = None
    relative: bool | None = None
    statistics: bool = True
    interactions: bool = True
    penalties: tuple[Literal["ridge", "lasso", "elasticnet"], ...] = (
        "ridge",
        "lasso",
        "elasticnet",
    )
    alphas: dict[Literal["ridge", "lasso", "elasticnet"], tuple[Strength, ...]] | None = None
    l1_ratios: tuple[Annotated[float, Field(ge=0, le=1)], ...] = L1_RATIOS
    strengths: tuple[Strength, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    refit: bool = True
    max_iter: Annotated[int, Field(ge=1)] = 1000
    rounds: Annotated[int, Field(ge=1)] = 100
    teaching: Teaching = Teaching()

    @property
    def data_options(self) -> dict[str, Any]:
        """What rides behind the name of the data."""
        return {} if self.target is None else {"target": self.target}

    def gather(self, run: Run, given: Any, data: Data) -> MemberTable:
        """Make the table: train members fold by fold, or ask those that know no row of a split.

        Args:
            run: trained members are kept in its stages.
            given: names or trained members; None takes the pool, or what the data hold.
            data: what members learn from.
        """
        seed = keyed.key(run.seed, "folds")
        if data.members and given is None:
            said = [predicted(*one) for one in enumerate(data.members)]
            return from_split(said, data, data.train, self.cv, seed, "predictions")
        if given is None:
            given = self.pool or POOLS[data.task]
        if self.fit_on == "validation":
            # Before anything is trained for hours.
            check_unseen(data)
            taught = self.teaching.taught(run, given, data)
            return from_split(taught.members, data, data.validation, self.cv, seed, "validation")
        return from_folds(run, given, data, self.teaching, self.cv, seed, refit=self.refit)

    def distill(
        self, run: Run, *, data: Data, teacher: MemberTable | None = None
    ) -> StackedPredictor:
        """Stack the members.

        Args:
            run: the folder; ``out-of-fold.parquet`` holds what every member says of rows that it
                did not see, and is itself data: ``oof:RUN/out-of-fold.parquet``.
            data: what members and stack learn from.
            teacher: members: names such as ``sklearn:ridge``, networks, fitted estimators.

        Returns:
            The members that stayed with the numbers that make them one.
        """
        assert teacher is not None, "prepare gathers members"
        stack = self.stack(teacher)
        facts = told(stack, teacher, self)
        self._keep(run, stack, teacher, data, facts)
        return StackedPredictor(
            [teacher.groups[place] for place in stack.projection_.kept],
            self.rule(stack),
            data.input_space,
            data.task,
            data.classes,
            names=stack.kept_members_,
            facts=facts,
        )

    def baselines(
        self, run: Run, *, data: Data, teacher: MemberTable | None = None
    ) -> dict[str, StackedPredictor]:
        """Averages of several kinds, the best single member, plain stacks, hill climbing."""
        assert teacher is not None, "prepare gathers members"
        return plain_stacks(teacher, data, self)

    def stack(self, found: MemberTable) -> Stack:
        """The estimator of these settings, fitted on a table: projection, statistics, blend."""
        members = [(name, Column(place)) for place, name in enumerate(found.names)]
        options: dict[str, Any] = {
            "prefit": True,
            "cv": found.folds.splits,
            "inner_cv": self.inner_cv,
            "correlation": self.correlation,
            "squared_difference": self.squared_difference,
            "max_iter": self.max_iter,
        }
        given = {"variance": self.variance, "relative": self.relative}
        options |= {name: value for name, value in given.items() if value is not None}
        if found.classifies:
            stack: Stack = RegularizedStackingClassifier(
                members, strengths=self.strengths, **options
            )
        else:
            alphas: Any = self.alphas
            stack = RegularizedStackingRegressor(
                members,
                inner_split=self.inner_split,
                statistics=self.statistics,
                interactions=self.interactions,
                penalties=self.penalties,
                alphas=alphas,
                l1_ratios=self.l1_ratios,
                **options,
            )
        with warnings.catch_warnings():
            # Fits that stop early are counted in the facts and told in the report.
            warnings.simplefilter("ignore", ConvergenceWarning)
            return stack.fit(found.table, found.target)

    def rule(self, stack: Stack) -> Rule:
        """What the estimator learnt as plain numbers, scalers folded in."""
        if isinstance(stack, RegularizedStackingClassifier):
            return LogisticRule(*stack.affine())
        return LinearRule(
            *stack.affine(), statistics=self.statistics, interactions=self.interactions
        )

    def _keep(
        self, run: Run, stack: Stack, found: MemberTable, data: Data, facts: dict[str, Any]
    ) -> None:
        """Write down the table, the error of every fold, and what a report draws."""
        if run.engine.rank:
            return
        write_table(run.dir / TABLE, found, data)
        write_exhibits(run.dir, *drawings(stack, found, facts))
        run.resume("stack")
        with deferred() as stop:
            for fold, row in enumerate(fold_rows(stack, found), 1):
                run.log(stage="stack", step=fold, **row)
        if stop.asked:
            raise Interrupted("stopped in stage stack; what members say is kept")
