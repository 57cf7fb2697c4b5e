"""Described: what a product shows of itself where it stands alone."""

from __future__ import annotations


class Described:
    """Shows its kind and its one line; a product gives ``summary``."""

    def summary(self) -> str:
        """One line about it."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary()})"
