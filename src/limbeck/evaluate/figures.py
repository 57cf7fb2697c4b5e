"""Figures: how each is called and written, whether more of it is better, and which one decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from limbeck.errors import ArgumentError


@dataclass(frozen=True)
class Figure:
    """What people are told of a figure.

    Args:
        head: of its column; the figure's own name where empty.
        said: in a sentence, with its article.
        share: whether it is a fraction, which is shown in percent.
        higher: whether more of it is better.
        digits: behind the point.
        shown: whether tables have a column of it.
    """

    head: str = ""
    said: str = ""
    share: bool = False
    higher: bool = True
    digits: int = 3
    shown: bool = True

    @property
    def scale(self) -> int:
        """What a value is multiplied by before it is written."""
        return 100 if self.share else 1

    def write(self, value: float, sign: str = "") -> str:
        """The value as it stands in a table.

        Args:
            value: as rows hold it.
            sign: ``"+"`` writes it before positive values too.

        Example:
            >>> Figure(share=True, digits=1).write(0.936)
            '93.6'
        """
        return f"{value * self.scale:{sign}.{self.digits}f}"


def _share(head: str = "", *, shown: bool = True) -> Figure:
    return Figure(head, share=True, digits=1, shown=shown)


# In the order of the columns of a table.
FIGURES: dict[str, Figure] = {
    "auc": _share("AUC"),
    "accuracy": _share(),
    "best_accuracy": _share(),
    "top5": _share(shown=False),
    "exact": _share(),
    "ndcg_at_10": _share("nDCG@10"),
    "validation_ndcg_at_10": _share(shown=False),
    "mrr_at_10": _share("MRR@10"),
    "recall_at_100": _share("R@100"),
    "f1": _share(),
    "rmse": Figure(said="an rmse", higher=False),
    "mae": Figure(higher=False),
    "r2": Figure(),
    "nll": Figure(higher=False),
    "ece": Figure(higher=False),
    "agreement": _share(),
    "coverage_at_5": _share("cov@5"),
    "coverage_at_10": _share("cov@10"),
    "risk_at_50": Figure("risk@50", share=True, higher=False, digits=1),
    "risk_at_80": Figure("risk@80", share=True, higher=False, digits=1),
    "aurc": Figure("AURC", higher=False, digits=4),
    "ood_auroc": _share("OOD AUROC"),
    "fpr_at_95": Figure("FPR@95", share=True, higher=False, digits=1),
    "scod_risk_at_80": Figure("SCOD@80", share=True, higher=False, digits=1),
    "scod_aurc": Figure("SCOD AURC", higher=False, digits=4),
    "train_accuracy": _share(),
    "train_rmse": Figure(higher=False),
    "frechet": Figure("FD", "a Fréchet distance", higher=False),
    "kid": Figure("KID", higher=False, digits=4),
    "sliced_wasserstein": Figure("SW", "a sliced Wasserstein distance", higher=False),
    "mmd": Figure("MMD", higher=False, digits=4),
    "precision": _share(),
    "recall": _share(),
    "density": Figure(),
    "coverage": _share(),
    "label_accuracy": _share("label accuracy"),
    "modes": Figure(digits=1),
    "on_mode": _share("on mode"),
    "mode_entropy": Figure("entropy"),
    "spread": Figure(),
    "diversity": Figure(),
    "nearest": Figure(),
    "force_rmse_kcal_mol_a": Figure("forces", "an rmse of forces", higher=False),
    "force_rmse_frame_worst_kcal_mol_a": Figure("worst frame", higher=False),
    "energy_rmse_kcal_mol_atom": Figure("energy an atom", higher=False),
    "charge_rmse_e": Figure("charges", higher=False),
    "dipole_rmse_debye": Figure("dipole", higher=False),
    "force_spread_kcal_mol_a": Figure("forces apart"),
    "score": Figure(said="a score", digits=4),
    "semantic": Figure(digits=4),
    "relation": Figure(digits=4),
}
# Those that decide: of a table, the first that all of its rows hold.
MAIN = (
    "auc",
    "accuracy",
    "exact",
    "ndcg_at_10",
    "rmse",
    "frechet",
    "sliced_wasserstein",
    "force_rmse_kcal_mol_a",
    "score",
)


def figure(name: str) -> Figure:
    """What is known of a figure; one that is not listed is a plain number, no column of tables.

    Example:
        >>> figure("rmse").higher, figure("brier").shown
        (False, False)
    """
    return FIGURES.get(name, Figure(shown=False))


def main_figure(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figure that rows are compared by.

    Args:
        rows: with ``"quality"``.

    Raises:
        ArgumentError: the rows have none that is known.

    Example:
        >>> main_figure([{"quality": {"nll": 1.0, "accuracy": 0.5}}])
        'accuracy'
    """
    for name in MAIN:
        if all(name in row["quality"] for row in rows):
            return name
    raise ArgumentError(f"rows have none of {', '.join(MAIN)} to rank them by")


def columns(groups: Sequence[Mapping[str, Any]], without: str = "") -> list[str]:
    """The figures that some of several tables of quality hold, in the order of columns.

    Args:
        groups: figures by name, one group a row.
        without: a figure that stands elsewhere.

    Example:
        >>> columns([{"nll": 0.5, "brier": 0.1}, {"accuracy": 0.9}])
        ['accuracy', 'nll']
    """
    return [
        name
        for name, one in FIGURES.items()
        if one.shown and name != without and any(name in group for group in groups)
    ]
