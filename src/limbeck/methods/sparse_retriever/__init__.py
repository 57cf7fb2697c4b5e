"""Sparse retriever: see sparse_retriever.py."""
