"""Graphs distilled without training into trees that often occur together."""
