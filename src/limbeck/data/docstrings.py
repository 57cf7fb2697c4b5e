"""Docstrings of installed packages as retrieval data: a real corpus without a download."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from limbeck import keyed
from limbeck.data.retrieval import SPLITS, Judged, RetrievalData
from limbeck.errors import DataError

PACKAGES = "numpy+scipy+sklearn+pandas+torch"
# Folders whose functions are for the package itself.
INNER = {"tests", "test", "testing", "benchmarks", "externals", "extern"}
# Fewest words of a question and of an answer: "Deprecated." asks nothing.
ASKED, TOLD = 3, 10
TEST_SHARE = VALIDATION_SHARE = 0.1
TOP_LEVEL = re.compile(r"^(?:async def|def|class) +([A-Za-z]\w*)", re.MULTILINE)
QUOTED = re.compile(r'("""|\'\'\')(?:\\.|(?!\1).)*\1', re.DOTALL)


def docstrings(*, packages: str = PACKAGES) -> RetrievalData:
    """Docstrings of public functions and classes of installed packages.

    A query is the first paragraph of a docstring, the one document that answers it is the rest.
    What is there depends on the versions that are installed: figures compare within one
    environment, of which the fingerprint of the data tells. Sources are read, not imported.

    Args:
        packages: names of packages with ``+`` between them.

    Returns:
        The data set, split by the names of functions: a tenth each for validation and test.

    Raises:
        DataError: a package is not installed, or there are too few docstrings.

    Example:
        >>> data = docstrings(packages="numpy")
        >>> query = next(iter(data.test.queries))
        >>> data.test.relevant[query] == {query: 1}
        True
    """
    documents: dict[str, str] = {}
    queries: dict[str, str] = {}
    asked, told = set(), set()
    for package in str(packages).split("+"):
        for name, text in _docstrings(package):
            query, document = _parted(text)
            # A question that two functions ask, or an answer that both give, has no one place.
            if query in asked or document in told or name in documents:
                continue
            if len(query.split()) < ASKED or len(document.split()) < TOLD:
                continue
            asked.add(query)
            told.add(document)
            documents[name], queries[name] = document, query
    train, validation, test = (_judged(queries, split) for split in SPLITS)
    if not len(test):
        raise DataError(f"{packages} has too few docstrings; name further packages, such as scipy")
    return RetrievalData(documents, train, validation, test, "docstrings")


def _judged(queries: Mapping[str, str], split: str) -> Judged:
    """The queries of a split, each answered by the document of its own name."""
    own = {name: text for name, text in queries.items() if _split(name) == split}
    return Judged(own, {name: {name: 1} for name in own})


def _split(name: str) -> str:
    draw = keyed.key("docstrings", name) / 2**64
    if draw < TEST_SHARE:
        return "test"
    return "validation" if draw < TEST_SHARE + VALIDATION_SHARE else "train"


def _parted(text: str) -> tuple[str, str]:
    """First paragraph on one line, and what follows it."""
    head, _, rest = text.partition("\n\n")
    return " ".join(head.split()), rest.strip()


def _docstrings(package: str) -> Iterator[tuple[str, str]]:
    """Names and docstrings of what a package defines at the top of its public modules."""
    try:
        found = importlib.util.find_spec(package) if package.isidentifier() else None
    except ValueError:  # such as __main__, which no file defines
        found = None
    if found is None or not found.submodule_search_locations:
        raise DataError(
            f"there is no installed package {package!r}; write names as they are imported, such "
            "as ?packages=numpy+scipy"
        )
    root = Path(found.submodule_search_locations[0])
    for file in sorted(root.rglob("*.py")):
        module = file.relative_to(root).with_suffix("").parts
        if any(folder in INNER or folder.startswith("_") for folder in module[:-1]):
            continue
        place = ".".join((package, *(part for part in module if part != "__init__")))
        for name, text in _of_source(file.read_text(encoding="utf-8", errors="replace")):
            yield f"{place}.{name}", text


def _of_source(source: str) -> Iterator[tuple[str, str]]:
    """Names and docstrings of functions and classes at the top level of a module.

    Parsing each up to the end of its first long string takes a fifth of parsing all of it.
    """
    heads = list(TOP_LEVEL.finditer(source))
    for head, after in zip(heads, [*heads[1:], None], strict=False):
        end = len(source) if after is None else after.start()
        string = QUOTED.search(source, head.start(), end)
        if string is None:
            continue
        try:
            node = ast.parse(source[head.start() : string.end()]).body[0]
        except SyntaxError:
            continue  # the string stands within an expression: no docstring
        assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if text := ast.get_docstring(node):
            yield head[1], text
