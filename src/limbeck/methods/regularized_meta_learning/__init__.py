"""Regularised meta-learning."""
