"""Comparison: entries on the same splits, teachers, first weights, steps and seeds."""

from limbeck.comparison.competing import Outcome, compete
from limbeck.comparison.contests import Contest, Entry, contest

__all__ = ["Contest", "Entry", "Outcome", "compete", "contest"]
