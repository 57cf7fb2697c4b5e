"""What both stacking estimators do alike: members to a table, near-duplicates out, a refit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.utils.metaestimators import _BaseComposition
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from limbeck.bridges.sklearn.folds import Folds, make_folds
from limbeck.bridges.sklearn.members import (
    Member,
    fit_member,
    named_members,
    oof_predictions,
    says,
    warn_unweighted,
)
from limbeck.errors import ArgumentError, UnusualUseWarning
from limbeck.functional.stacking import Projection


class Stacking(_BaseComposition):
    """Members, their out-of-fold table, and which of them stay; estimators say what is stacked."""

    # Constructor arguments of both estimators.
    members: Any
    prefit: bool
    cv: Any
    refit: bool
    random_state: int | None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Settings by name, those of named members as ``name__setting``."""
        return self._get_params("members", deep=deep)

    def set_params(self, **params: Any) -> Any:
        """Change settings by name; a member's own name replaces the member."""
        self._set_params("members", **params)
        return self

    def _collect(
        self, X: Any, y: np.ndarray, sample_weight: Any, groups: Any, classes: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Folds]:
        """Table of predictions, target, weights and folds of the rows that have predictions."""
        weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
        folds = make_folds(
            self.cv, X, y, groups, classifier=classes is not None, seed=self.random_state
        )
        self._named: list[Member] | None = None
        self._fitted: list[list[Any]] | None = None
        if self.members is None:
            table = X
        else:
            self._named = named_members(self.members)
            if weights is not None and not self.prefit:
                warn_unweighted(self._named)
            if self.prefit:
                table = np.stack([says(*one, X, classes) for one in self._named], axis=1)
            else:
                table, self._fitted = oof_predictions(
                    self._named, X, y, folds, weights=weights, classes=classes
                )
        self.member_names_ = self._names(table.shape[1])
        folds, counted = folds.counted(weights)
        self.oof_matrix_ = table
        self.oof_rows_ = np.flatnonzero(counted)
        return table[counted], y[counted], None if weights is None else weights[counted], folds

    def _names(self, width: int) -> list[str]:
        if self._named is not None:
            return [name for name, _ in self._named]
        return list(getattr(self, "feature_names_in_", [f"x{place}" for place in range(width)]))

    def _keep(
        self, found: Projection, X: Any, y: np.ndarray, sample_weight: Any, classes: Any
    ) -> None:
        """Store what stays and why the rest does not; fit what stays on all rows."""
        self.projection_ = found
        self.condition_before_ = found.condition_before
        self.condition_after_ = found.condition_after
        self.kept_members_ = [self.member_names_[place] for place in found.kept]
        self.removed_members_ = [
            one._asdict()
            | {
                "member": self.member_names_[one.member],
                "kept": None if one.kept is None else self.member_names_[one.kept],
            }
            for one in found.removed
        ]
        flat = [one["member"] for one in self.removed_members_ if one["reason"] == "constant"]
        if flat:
            warnings.warn(
                f"members {', '.join(flat)} predict the same for every row and were left out",
                UnusualUseWarning,
                stacklevel=3,
            )
        self.members_ = None
        if self._named is None:
            return
        if self.prefit:
            self.members_ = [[self._named[place][1]] for place in found.kept]
        elif self.refit:
            weights = None if sample_weight is None else _check_sample_weight(sample_weight, X)
            self.members_ = [
                [fit_member(self._named[place], X, y, weights)] for place in found.kept
            ]
        else:
            assert self._fitted is not None
            self.members_ = [self._fitted[place] for place in found.kept]
        del self._named, self._fitted

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
