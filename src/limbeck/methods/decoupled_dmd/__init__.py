"""Decoupled distribution matching: guidance and matching each at noise levels of its own."""
