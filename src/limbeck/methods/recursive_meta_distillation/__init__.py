"""Recursive meta-distillation."""
