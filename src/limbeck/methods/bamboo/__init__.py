"""BAMBOO."""
