"""What both stacking estimators do alike: members to a table, near-duplicates out, a refit."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from limbeck.bridges.sklearn.folds import Folds, make_folds
from limbeck.bridges.sklearn.members import (
    Member,
    fit_member,
    named_members,
    oof_predictions,
    says,
    warn_unmet,
    warn_unweighted,
)
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.functional.stacking import Projection, Removal

# Two members whose correlation is so near 1 leave few digits of how weight is shared between them.
COPY = 1e-9


class Collected(NamedTuple):
    """What members say of the rows that can be stacked on.

    Args:
        table: predictions ``(N, K)`` or ``(N, K, C)``.
        target: ``(N,)``.
        weights: of the rows ``(N,)``, or None.
        folds: of the rows.
        named: names and estimators; none if the table came ready.
        fitted: the estimators of each member, one a fold.
    """

    table: np.ndarray
    target: np.ndarray
    weights: np.ndarray | None
    folds: Folds
    named: list[Member]
    fitted: list[list[Any]]


class Stacking(_BaseComposition):
    """Members, their out-of-fold table, and which of them stay; estimators say what is stacked."""

    # Constructor arguments of both estimators.
    members: Any
    prefit: bool
    cv: Any
    refit: bool
    random_state: int | None
    members_: list[list[Any]] | None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, those of named members as ``name__setting``."""
        return self._get_params("members", deep=deep)

    def set_params(self, **params: Any) -> Any:
        """Change settings by name; a member's own name replaces the member."""
        self._set_params("members", **params)
        return self

    def _collect(
        self, X: Any, y: np.ndarray, sample_weight: Any, groups: Any, classes: np.ndarray | None
    ) -> Collected:
        """Ask members for rows that they did not see; keep the whole table for who wants it."""
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        folds = make_folds(
            self.cv, X, y, groups, classifier=classes is not None, seed=self.random_state
        )
        named: list[Member] = []
        fitted: list[list[Any]] = []
        if self.members is None:
            table = X
            places = [f"x{place}" for place in range(table.shape[1])]
            self.member_names_ = list(getattr(self, "feature_names_in_", places))
        else:
            named = named_members(self.members)
            self.member_names_ = [name for name, _ in named]
            if self.prefit:
                table = np.stack([says(*one, X, classes) for one in named], axis=1)
                fitted = [[one] for _, one in named]
            else:
                if weights is not None:
                    warn_unweighted(named)
                table, fitted = oof_predictions(
                    named, X, y, folds, weights=weights, classes=classes
                )
            if classes is not None:
                warn_unmet(self.member_names_, fitted, classes)
        folds, counted = folds.counted(weights)
        self.oof_matrix_ = table
        self.oof_rows_ = np.flatnonzero(counted)
        return Collected(
            table[counted],
            y[counted],
            None if weights is None else weights[counted],
            folds,
            named,
            fitted,
        )

    def _keep(
        self, found: Projection, collected: Collected, X: Any, y: np.ndarray, sample_weight: Any
    ) -> None:
        """Store what stays and why the rest does not; fit what stays on all rows."""
        self.projection_ = found
        self.condition_before_ = found.condition_before
        self.condition_after_ = found.condition_after
        self.kept_members_ = [self.member_names_[place] for place in found.kept]
        self.removed_members_ = [self._named_removal(one) for one in found.removed]
        flat = [one["member"] for one in self.removed_members_ if one["reason"] == "constant"]
        if flat:
            warnings.warn(
                f"members {', '.join(flat)} predict the same for every row and were left out",
                UnusualUseWarning,
                stacklevel=3,
            )
        self._warn_of_copies(found, collected.table)
        if self.members is None:
            self.members_ = None
        elif self.refit and not self.prefit:
            weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
            self.members_ = [
                [fit_member(collected.named[place], X, y, weights)] for place in found.kept
            ]
        else:
            self.members_ = [collected.fitted[place] for place in found.kept]

    def _warn_of_copies(self, found: Projection, table: np.ndarray) -> None:
        """Say which two of those that stay are so alike that their weights are rounding."""
        if found.condition_after < 1 / COPY:
            return
        kept = table[:, found.kept]
        long = np.moveaxis(kept, 1, -1).reshape(-1, kept.shape[1])
        like = np.corrcoef(long, rowvar=False) - 2 * np.eye(kept.shape[1])
        if like.max() < 1 - COPY:
            # Fewer rows than members leave none apart, and penalties are for that.
            return
        first, second = sorted(np.unravel_index(like.argmax(), like.shape))
        names = self.kept_members_
        warnings.warn(
            f"members {names[first]} and {names[second]} say nearly the same and both stay, with a "
            f"condition number of {found.condition_after:.1e}: how weight is shared between them "
            "is mostly rounding; raise squared_difference, so that one of them goes",
            UnusualUseWarning,
            stacklevel=4,
        )

    def _named_removal(self, removal: Removal) -> dict[str, Any]:
        names = self.member_names_
        twin = None if removal.kept is None else names[removal.kept]
        return removal._asdict() | {"member": names[removal.member], "kept": twin}

    def _predictions(self, X: Any, classes: np.ndarray | None = None) -> np.ndarray:
        """What the members that stayed say of new rows, ``(N, K')`` or ``(N, K', C)``."""
        check_is_fitted(self)
        if self.members_ is None:
            table = validate_data(
                self, X, reset=False, dtype=np.float64, allow_nd=classes is not None
            )
            return table[:, self.projection_.kept]
        validate_data(self, X, reset=False, skip_check_array=True)
        return np.stack(
            [
                np.mean([says(name, one, X, classes) for one in fits], axis=0)
                for name, fits in zip(self.kept_members_, self.members_, strict=True)
            ],
            axis=1,
        )

    def _check_choice(self, name: str, valid: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in valid:
            raise ArgumentError(f"{name} is {value!r}, expected one of {', '.join(valid)}")


def warn_unconverged(models: Mapping[str, Any], max_iter: int, instead: str) -> None:
    """Say once how many regressions stopped early, whatever they are.

    Args:
        models: by the name of their kind; each counts its ``fits`` and those ``unconverged``.
        max_iter: where they stopped.
        instead: what else helps than more of them.
    """
    early = [
        f"{one.unconverged} of {one.fits} {kind} fits"
        for kind, one in models.items()
        if one.unconverged
    ]
    if early:
        warnings.warn(
            f"{' and '.join(early)} stopped at max_iter={max_iter} before they converged; their "
            f"coefficients are used as they stand. Raise max_iter, or {instead}",
            ConvergenceWarning,
            stacklevel=3,
        )
