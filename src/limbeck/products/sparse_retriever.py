"""SparseRetriever: documents as weighted tokens, queries as a look-up, an index that finds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from scipy import sparse
from torch import Tensor

from limbeck import files
from limbeck.data.names import resolve
from limbeck.data.retrieval import Judged, RetrievalData
from limbeck.errors import ArgumentError, ModelError
from limbeck.evaluate.retrieval import retrieval_cost
from limbeck.evaluate.retrievers import TIMED, retriever_row, retriever_rows
from limbeck.fingerprint import fingerprint
from limbeck.products.described import Described
from limbeck.products.export_folder import FACTS
from limbeck.products.sparse_index import SparseIndex

if TYPE_CHECKING:
    from limbeck.products.model_card import Origin
    from limbeck.run.run import Run

ENCODER = "encoder"


class SparseRetriever(Described):
    """A document encoder, the weights of query tokens, and an index of what was encoded.

    Args:
        encoder: a `SparseEncoder` of sentence-transformers that looks queries up in a table, as
            `limbeck.bridges.sentence_transformers.encoders.assembled` makes it.
        facts: how it came about, plain values that are kept with it.

    Raises:
        ModelError: the encoder asks a network about queries.
    """

    def __init__(self, encoder: Any, facts: Mapping[str, Any] | None = None) -> None:
        from limbeck.bridges.sentence_transformers import encoders

        if not encoders.is_inference_free(encoder):
            raise ModelError(
                f"the encoder is a {type(encoder).__name__} that does not look queries up in a "
                "table, expected one that encoders.assembled made"
            )
        self.encoder: Any = encoder.eval().requires_grad_(False)
        self.facts = dict(facts or {})
        self._bridge: Any = encoders
        self._tokens = encoders.plain_tokens(self.tokenizer)
        self._index: SparseIndex | None = None
        # Of the corpus that was last evaluated on, by its content.
        self._evaluated: tuple[str, Any, SparseIndex] | None = None

    @property
    def fingerprint(self) -> str:
        """Short name of the content: a retriever is a teacher too."""
        return fingerprint(self.encoder, self.pooling, self.tokenizer.model_max_length)

    @property
    def pooling(self) -> dict[str, Any]:
        """How logits become vectors."""
        facts: dict[str, Any] = self._bridge.documents_of(self.encoder)[1].facts()
        return facts

    @property
    def tokenizer(self) -> Any:
        """Of queries and documents."""
        return self._bridge.table_of(self.encoder).tokenizer

    @property
    def weights(self) -> Tensor:
        """Of query tokens ``(V,)``."""
        return self._bridge.table_of(self.encoder).weight.detach().float().relu().cpu()

    def queries(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """Vectors of queries, CSR ``(N, V)``: the weight of each token that occurs.

        A query without a known token has none, and finds nothing.
        """
        return self._bridge.query_vectors(self.encoder, _several(texts, "queries"))

    def documents(self, texts: Sequence[str], *, device: Any = None) -> sparse.csr_matrix:
        """Vectors of documents, CSR ``(N, V)``.

        Args:
            texts: of the documents.
            device: where they are encoded, such as ``"cuda"``; the retriever goes back to where it
                is, and stays there with None.
        """
        several = _several(texts, "documents")
        with self._bridge.placed(self.encoder, device):
            return self._bridge.document_vectors(self.encoder, several)

    def searchable(self, texts: Sequence[str], *, device: Any = None) -> sparse.csr_matrix:
        """Vectors of documents without what no query weighs, such as special tokens ``(N, V)``."""
        heard = sparse.diags_array((self.weights > 0).float().numpy())
        found = sparse.csr_matrix(self.documents(texts, device=device) @ heard, dtype="float32")
        found.eliminate_zeros()
        return found

    def index(self, documents: Mapping[str, str], *, device: Any = None) -> SparseIndex:
        """Encode documents and keep their index, which `search` looks into.

        Args:
            documents: text by id.
            device: where they are encoded, as `documents` has it.

        Returns:
            The index.

        Raises:
            ArgumentError: these are no texts by id, there are none, or one is empty.
            DataError: none has an active dimension.
        """
        _check_documents(documents)
        self._index = self._indexed(documents, device)[1]
        return self._index

    def _indexed(self, documents: Mapping[str, str], device: Any = None) -> tuple[Any, SparseIndex]:
        """Vectors of documents and their index, made once for those evaluated on."""
        content = fingerprint(list(documents.items()))
        if self._evaluated is None or self._evaluated[0] != content:
            vectors = self.searchable(list(documents.values()), device=device)
            weights = self.weights.numpy()
            index = SparseIndex(vectors, list(documents), weights=weights, maker=self.fingerprint)
            self._evaluated = (content, vectors, index)
        return self._evaluated[1:]

    def attach(self, index: SparseIndex) -> None:
        """Look into an index that was made before, such as ``SparseIndex.load(path)``.

        Args:
            index: as `index` gave it: weights of query tokens are in it.

        Raises:
            ArgumentError: another retriever made it, or none did.
        """
        if index.maker != self.fingerprint:
            raise ArgumentError(
                f"the index was made by {index.maker or 'no retriever'}, and this retriever is "
                f"{self.fingerprint}: its tokens and weights are others; make it with "
                "index(documents)"
            )
        self._index = index

    def search(self, queries: str | Sequence[str], k: int = 10) -> list[dict[str, float]]:
        """The best documents of the index for each query.

        Args:
            queries: one text or several.
            k: how many documents, at most.

        Returns:
            For each query scores by id, best first; fewer than k, or none, where no more share a
            token with it.

        Raises:
            ArgumentError: nothing was indexed.
        """
        if self._index is None:
            raise ArgumentError("nothing is indexed yet; call index(documents) first")
        asked = [queries] if isinstance(queries, str) else _several(queries, "queries")
        return self._index.search(self._tokens(asked), k)

    def ranked(
        self, data: RetrievalData, judged: Judged, k: int, *, device: Any = None
    ) -> dict[str, dict[str, float]]:
        """Scores of the best documents by query id, over the whole corpus.

        Args:
            data: its corpus is indexed; what `index` made stays.
            judged: the queries.
            k: how many documents a query.
            device: where documents are encoded, as `documents` has it.
        """
        _, index = self._indexed(data.documents, device)
        found = index.search(self._tokens(list(judged.queries.values())), k)
        return dict(zip(judged.queries, found, strict=True))

    def cost(self, data: RetrievalData) -> dict[str, float]:
        """Parameters, size and density of the index, and what a test query takes."""
        vectors, index = self._indexed(data.documents)
        texts = list(data.test.queries.values())
        network, _ = self._bridge.documents_of(self.encoder)
        found = retrieval_cost(
            vectors,
            self.queries(texts),
            index_bytes=index.bytes,
            answer=lambda text: index.search(self._tokens([text])),
            texts=texts[:TIMED],
        )
        return {"parameters": sum(one.numel() for one in network.parameters()), **found}

    def evaluate(self, data: str | RetrievalData, *, device: Any = None) -> dict[str, float]:
        """Quality on the test queries of some data, given by name or as an object."""
        return self.measure(data, device=device)["quality"]

    def measure(self, data: str | RetrievalData, *, device: Any = None) -> dict[str, Any]:
        """A row of quality beside cost, on the test queries of some data."""
        found = resolve(data)
        self.see(found)
        return retriever_row("retriever", "product", self, found, device)

    def see(self, data: Any) -> None:
        """Raise `ModelError` unless data is a corpus with queries."""
        if not isinstance(data, RetrievalData):
            raise ModelError(
                f"the retriever finds documents and {getattr(data, 'name', data)} has none; give a "
                "corpus with queries, such as beir:FOLDER"
            )

    def compared(
        self,
        run: Run,
        name: str,
        baselines: Mapping[str, SparseRetriever],
        inputs: Mapping[str, Any],
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The table of this retriever, of those it is compared with, of its teachers and of BM25.

        Args:
            run: keeps what teachers say of the corpus.
            name: of this retriever's row.
            baselines: others by name; the first is the baseline.
            inputs: of the method: ``teacher`` and ``data``.

        Returns:
            Rows ``{"name", "role", "quality", "cost"}`` and an empty table.
        """
        entries = {name: self, **baselines}
        normalise = self.facts.get("normalise", "min-max")
        return retriever_rows(run, entries, inputs["teacher"], inputs["data"], normalise), {}

    def predict(self, x: Any = None) -> NoReturn:
        """Raise `ModelError`: this product finds documents and predicts nothing."""
        raise ModelError(
            "the product is a retriever: it finds documents and predicts nothing; use "
            "index(documents) and search(queries), or on the command line: limbeck evaluate RUN "
            "--data beir:FOLDER"
        )

    def summary(self) -> str:
        """One line about the retriever."""
        network, _ = self._bridge.documents_of(self.encoder)
        count = sum(one.numel() for one in network.parameters())
        pooling = self.pooling
        prune = "" if pooling["prune"] is None else f", pruned at {pooling['prune']:g}"
        return (
            f"{type(network.model).__name__}: {count:,} parameters for documents, a table of "
            f"{len(self.weights):,} tokens for queries, {pooling['pooling']} of "
            f"{pooling['activation']}{prune}"
        )

    def tensors(self) -> dict[str, Tensor]:
        """What is stored, by name: the network's weights and those of query tokens."""
        return {name: one.detach().cpu() for name, one in self.encoder.state_dict().items()}

    def save(self, dir: str | Path) -> None:
        """Write the retriever: weights, tokenizer and facts, no code, no time, no path.

        Args:
            dir: the folder; an older one there is replaced. Its sub-folder ``encoder`` is read by
                plain sentence-transformers too, without the pruning where there is some.

        Raises:
            RunError: the folder cannot be written.
        """
        with files.new_folder(Path(dir)) as part:
            self.write(part)

    def write(self, part: Path) -> None:
        """Put the files into a folder that `limbeck.files.new_folder` makes whole."""
        self._bridge.write_encoder(self.encoder, part / ENCODER, alone=False)
        facts = {"kind": "sparse-retriever", "pooling": self.pooling, "retriever": self.facts}
        files.write_text(part / FACTS, json.dumps(facts, indent=1) + "\n")

    @classmethod
    def load(cls, dir: str | Path, network: Any = None) -> SparseRetriever:
        """Read what `save` wrote.

        Args:
            dir: the folder.
            network: none is filled: the folder says what it holds.

        Raises:
            CorruptFileError: a file is missing or was altered.
            ModelError: sentence-transformers is missing, or the encoder does not load.
        """
        from limbeck.networks.making import library

        library("sentence_transformers", "text")
        from limbeck.bridges.sentence_transformers import encoders
        from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling

        dir = Path(dir)
        files.check_folder(dir)
        facts = json.loads((dir / FACTS).read_text())
        found = encoders.read_encoder(dir / ENCODER)
        table, (body, _) = encoders.table_of(found), encoders.documents_of(found)
        pooling = VocabularyPooling(**facts["pooling"])
        made = encoders.assembled(body, table.weight.detach(), pooling, frozen=table.frozen)
        return cls(made, facts["retriever"])

    def export(
        self,
        dir: str | Path,
        *,
        to: str,
        data: str | RetrievalData | None = None,
        origin: Origin | None = None,
        device: Any = None,
    ) -> dict[str, Any]:
        """Write the retriever, or what it says of a corpus, in a form that other programs read.

        Args:
            dir: the folder; an earlier export of the same retriever is replaced.
            to: ``"sentence-transformers"`` (a folder that it loads), ``"onnx"`` (the document
                encoder, its tokenizer and the table of query weights), ``"opensearch"`` (JSON
                lines of weighted tokens, the table, and how to load both), or ``"csr"`` (vectors
                as SciPy reads them).
            data: whose corpus is encoded, by name or as an object; of ``"opensearch"`` and
                ``"csr"``.
            origin: not needed.
            device: where documents are encoded, as `documents` has it.

        Returns:
            ``format``, ``folder``, ``files``, ``bytes``, and ``largest_difference`` where what was
            written was run beside the retriever.

        Raises:
            ArgumentError: the format is unknown, or its corpus is missing.
            ModelError: a library is missing, or the format cannot say what the retriever does.
            RunError: the folder holds something else or cannot be written.
        """
        # Here, because the exporter reads what this module defines.
        from limbeck.products.retriever_exporting import export

        return export(self, dir, to=to, data=data, device=device)


def _check_documents(documents: Any) -> None:
    """Raise `ArgumentError` unless these are texts by id, and there are some."""
    if not isinstance(documents, Mapping):
        hint = "; give its documents" if isinstance(documents, RetrievalData) else ""
        raise ArgumentError(
            f"documents is a {type(documents).__name__}, expected texts by id, such as "
            f'{{"a": "a text"}}{hint}'
        )
    if not documents:
        raise ArgumentError("there are no documents to index; give texts by id")
    for one, text in documents.items():
        if not isinstance(text, str) or not text.strip():
            raise ArgumentError(
                f"documents holds {text!r} for {one!r}, expected texts; leave out what has none"
            )


def _several(texts: Sequence[str], name: str) -> list[str]:
    if isinstance(texts, str):
        raise ArgumentError(f"{name} is one text, expected a list of texts; write [{texts[:20]!r}]")
    if not isinstance(texts, Iterable):
        raise ArgumentError(f"{name} is a {type(texts).__name__}, expected texts")
    found = list(texts)
    other = next((one for one in found if not isinstance(one, str)), None)
    if other is not None or None in found:
        raise ArgumentError(f"{name} holds {other!r}, expected texts; leave out what has none")
    return found
