"""Stacking as scikit-learn users expect it."""
