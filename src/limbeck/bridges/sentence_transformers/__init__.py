"""Retrievers of sentence-transformers: a sparse student, teachers, their trainer with our losses.

Nothing here is imported before a run needs it: sentence-transformers takes seconds to import.
"""
