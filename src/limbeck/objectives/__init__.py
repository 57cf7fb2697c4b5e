"""Objectives: named loss terms over a student's and a teacher's outputs that add and scale."""

from limbeck.objectives.by_name import label_term, named, soft_term
from limbeck.objectives.objective import Objective, Scaled, Sum, Terms, sum_terms
from limbeck.objectives.term import Term
from limbeck.objectives.untrained import diswot_terms
from limbeck.objectives.variational import Variational

__all__ = [
    "Objective",
    "Scaled",
    "Sum",
    "Term",
    "Terms",
    "Variational",
    "diswot_terms",
    "label_term",
    "named",
    "soft_term",
    "sum_terms",
]
