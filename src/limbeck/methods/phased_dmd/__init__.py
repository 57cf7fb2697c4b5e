"""Phased distribution matching: one expert a range of noise levels, trained one after another."""
