"""Pools: members of numbers where no teacher is named, cheap and wrong in different places."""

from __future__ import annotations

POOLS = {
    "regression": (
        "sklearn:linear-regression?scale=true",
        "sklearn:ridge?alpha=10.0&scale=true",
        "sklearn:lasso?alpha=0.01&scale=true",
        "sklearn:k-neighbors?n_neighbors=5&scale=true",
        "sklearn:k-neighbors?n_neighbors=15&weights=distance&scale=true",
        "sklearn:decision-tree?max_depth=6",
        "sklearn:random-forest?n_estimators=50&min_samples_leaf=3",
        "sklearn:extra-trees?n_estimators=50&min_samples_leaf=3",
        "sklearn:hist-gradient-boosting?max_iter=80",
        "sklearn:gradient-boosting?n_estimators=80",
    ),
    "classification": (
        "sklearn:logistic-regression?max_iter=500&scale=true",
        "sklearn:logistic-regression?C=0.05&max_iter=500&scale=true",
        "sklearn:gaussian-nb?var_smoothing=0.01",
        "sklearn:k-neighbors?n_neighbors=5&scale=true",
        "sklearn:k-neighbors?n_neighbors=15&weights=distance&scale=true",
        "sklearn:decision-tree?max_depth=8",
        "sklearn:random-forest?n_estimators=50",
        "sklearn:extra-trees?n_estimators=50",
        "sklearn:linear-discriminant-analysis?scale=true",
    ),
}
