"""Scaffold: the files of a new method, derived from one that stands, for its author to fill."""

from limbeck.scaffold.making import Plan, scaffold

__all__ = ["Plan", "scaffold"]
