"""Retrievers of sentence-transformers: a sparse student, teachers, their trainer with our losses.

Nothing here is imported before a run needs it: sentence-transformers takes seconds to import.
"""

import importlib.util

from limbeck.errors import ModelError

# Its absence is said in words and with the way to install it.
if importlib.util.find_spec("sentence_transformers") is None:
    raise ModelError("sentence_transformers is not installed; pip install 'limbeck[text]'")
