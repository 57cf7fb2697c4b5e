"""The sparse retriever: documents as weighted tokens, as an ensemble of retrievers ranks them."""

from __future__ import annotations

import copy
import dataclasses
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import nn

from limbeck import keyed
from limbeck.data.retrieval import RetrievalData
from limbeck.errors import (
    ArgumentError,
    SettingsError,
    UnknownNameError,
    UnusualUseWarning,
    nearest,
)
from limbeck.functional.sparse_vectors import Activation, TokenPooling
from limbeck.functional.teacher_scores import Normalisation
from limbeck.loops.hosted import train_hosted
from limbeck.loops.model_places import PREFIXES, place_of
from limbeck.loops.optim import Optim
from limbeck.loops.retrieved import reads_crops, reads_pairs
from limbeck.loops.retrieving import (
    RetrieverTeaching,
    ready_retrievers,
    retrievers,
    taught_retrievers,
)
from limbeck.loops.text_encoders import Fresh, fresh_encoder, query_weights
from limbeck.method import method
from limbeck.methods.sparse_retriever.lessons import CroppedLesson, JudgedLesson, check_crops
from limbeck.naming import split_name
from limbeck.products.sparse_retriever import SparseRetriever as Product
from limbeck.run import Run

KNOWN = ("bert", "hf:FOLDER", "package:NAME")
Share = Annotated[float, Field(ge=0, le=1)]


@method("sparse-retriever")
class SparseRetriever:
    r"""A document encoder over the vocabulary; a query costs a tokenizer and a table.

    .. math:: s(q, d) = \sum_{t \in q} w_t \, d_t, \qquad
        L = w \, KL(\mathrm{softmax}(s_T) \,\|\, \mathrm{softmax}(s)) + \lambda(i) F(d)

    :math:`w_t` is the idf of token t, which multiplies the gradient of the ranking loss and not
    that of F: frequent tokens lose. :math:`s_T` is the mean of the teachers' scores, each brought
    to one scale for every query.

    Args:
        ranking: ``"kl"`` or ``"margin-mse"`` from the teachers, ``"info-nce"`` from what was
            judged alone, beside wrong documents that the teachers rank high.
        in_batch: rank the documents of all queries of a batch, not the query's own alone.
        normalise: how scores of a teacher are brought to one scale: ``"min-max"``, ``"z-score"``
            or ``"none"``.
        score_scale: what the mean of the teachers' scores is multiplied by.
        documents_per_query: n.
        mined: documents that the teachers rank for each query, from which all but the first of n
            are taken, spread over the whole list.
        idf: weights of query tokens: ``"bm25"``, or ``"ones"`` as in SPLADE-doc.
        idf_lr: learning rate of these weights; None leaves them as they are.
        activation: ``"log1p"``, or ``"double_log1p"``.
        pooling: of the tokens of a document: ``"max"`` or ``"sum"``.
        prune: share of a document's largest entry up to which entries become 0, or None.
        weight: w of the ranking loss.
        sparsity: :math:`\lambda`, the full weight of FLOPS, of n slots.
        sparsity_warmup: T: steps in which that weight grows, with the square of the step.
        threshold: documents with at most so many tokens are not pressed further; None presses all.
        pretraining_steps: on crops of documents, with the teachers asked about each.
        steps: on training queries; where there are none, on crops.
        batch_size: queries a step, of all processes together.
        optim: how the encoder learns, in either phase.
        each_teacher: compare with a student of each teacher alone, too, where that teacher can mine
            documents and be asked about all that is learned from.
        teaching: how a dense bi-encoder given by name is trained.

    Source: arXiv 2411.04403; ``threshold`` and ``"double_log1p"``: arXiv 2504.14839.
    """

    ranking: Literal["kl", "margin-mse", "info-nce"] = "kl"
    in_batch: bool = True
    normalise: Normalisation = "min-max"
    score_scale: Annotated[float, Field(gt=0)] = 30.0
    documents_per_query: Annotated[int, Field(ge=1)] = 2
    mined: Annotated[int, Field(ge=1)] = 100
    idf: Literal["bm25", "ones"] = "bm25"
    idf_lr: Annotated[float, Field(gt=0)] | None = None
    activation: Activation = "log1p"
    pooling: TokenPooling = "max"
    prune: Share | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    sparsity: Annotated[float, Field(ge=0)] = 0.002
    sparsity_warmup: Annotated[int, Field(ge=0)] = 200
    threshold: Annotated[int, Field(ge=0)] | None = None
    pretraining_steps: Annotated[int, Field(ge=0)] = 0
    steps: Annotated[int, Field(ge=1)] = 2000
    batch_size: Annotated[int, Field(ge=1)] = 12
    optim: Optim = Optim("adamw", lr=2e-5, weight_decay=0.01, schedule="linear", warmup=0.1)
    each_teacher: bool = False
    teaching: RetrieverTeaching = RetrieverTeaching()

    def __post_init__(self) -> None:
        if self.documents_per_query < 2 and not self.in_batch:
            raise SettingsError(
                "documents_per_query is 1 and in_batch false, so that there is nothing to rank; "
                "set documents_per_query to 2 or more, or in_batch to true"
            )
        if self.in_batch and self.documents_per_query * self.batch_size < 2:
            raise SettingsError(
                "a batch holds one document, so that there is nothing to rank; raise batch_size"
            )
        if self._hard:
            warnings.warn(
                "documents_per_query is 2, in_batch false and normalise min-max: of two scores one "
                "becomes the least and the other the most, whatever lay between them; raise "
                "documents_per_query or set normalise to none",
                UnusualUseWarning,
                stacklevel=2,
            )
        if self.mined < self.documents_per_query - 1:
            raise SettingsError(
                f"mined is {self.mined} and documents_per_query {self.documents_per_query}, "
                "expected as many mined documents as a query takes beside its own"
            )

    @property
    def _hard(self) -> bool:
        """Whether normalisation leaves nothing of teachers' scores but their order."""
        scaled = self.ranking != "info-nce" and self.normalise == "min-max"
        return scaled and not self.in_batch and self.documents_per_query == 2

    def assemble(self, run: Run, ready: Mapping[str, Any]) -> dict[str, Any]:
        """The student as a masked language model, and the teachers as frozen retrievers.

        Raises:
            ArgumentError: a teacher must read query and document together, and scores of a whole
                batch are asked for; or none can be asked about crops, and crops are learned from.
            ModelError: a model does not load.
        """
        data: RetrievalData = ready["data"]
        _check_student(ready["student"])
        given = retrievers(ready["teacher"])
        known = ready_retrievers(run, given, data)
        self._check_teachers(list(known.values()), len(given), data)
        # First, as a model that does not load shall not cost the training of teachers.
        student = _student(run, ready["student"], data)
        teachers = taught_retrievers(run, given, known, data, self.teaching)
        return {**ready, "teacher": teachers, "student": student}

    def _check_teachers(self, known: list[Any], count: int, data: RetrievalData) -> None:
        """Raise where the teachers that are ready are of no use, with or without the others."""
        paired = [one.name for one in known if reads_pairs(one)]
        if paired and (self.in_batch or len(paired) == count):
            raise ArgumentError(
                f"{' and '.join(paired)} reads query and document together, so that it can "
                "score candidates that were mined and no others; set in_batch to false and "
                "give a bi-encoder or bm25 beside it, which mines"
            )
        if self._crops_teach(data) and len(known) == count:
            check_crops(known)

    def distill(
        self, run: Run, *, student: Any, teacher: list[Any], data: RetrievalData
    ) -> Product:
        """Train the student.

        Args:
            run: the folder.
            student: a masked language model.
            teacher: frozen retrievers.
            data: a corpus, with training queries or without.

        Returns:
            The retriever.

        Raises:
            RunError: a term is not finite, or documents have no active dimension any more.
        """
        return self._made(run, "student", student, teacher, data)

    def baselines(
        self, run: Run, *, student: Any, teacher: list[Any], data: RetrievalData
    ) -> dict[str, Product]:
        """The same student without a teacher, and the same one whose query tokens weigh alike."""
        lone = dataclasses.replace(self, ranking="info-nce", in_batch=True)
        found = {"student alone": lone._made(run, "alone", student, [], data)}
        if self.idf != "ones":
            plain = dataclasses.replace(self, idf="ones")
            found["without idf"] = plain._made(run, "plain", student, teacher, data)
        if self.each_teacher and len(teacher) > 1:
            miners = [one for one in teacher if not reads_pairs(one)]
            for place, one in enumerate(miners):
                if reads_crops(one) or not self._crops_teach(data):
                    made = self._made(run, f"single-{place}", student, [one], data)
                    found[f"of {one.name} alone"] = made
        return found

    def _crops_teach(self, data: RetrievalData) -> bool:
        """Whether teachers are asked about crops of documents."""
        return self.pretraining_steps > 0 or not len(data.train)

    def _made(
        self, run: Run, stage: str, student: Any, teachers: list[Any], data: RetrievalData
    ) -> Product:
        from limbeck.bridges.sentence_transformers.encoders import assembled
        from limbeck.bridges.sentence_transformers.pooling import VocabularyPooling

        weights = query_weights(run, student, data if self.idf == "bm25" else None)
        pooling = VocabularyPooling(self.activation, self.pooling, self.prune, len(weights))
        encoder = assembled(copy.deepcopy(student), weights, pooling, frozen=self.idf_lr is None)
        if self.pretraining_steps:
            crops = self._crops(run, teachers, data)
            self._learn(run, f"{stage}-pretraining", encoder, crops, self.pretraining_steps)
        judged = len(data.train) > 0
        lesson = (self._judged if judged else self._crops)(run, teachers, data)
        self._learn(run, stage, encoder, lesson, self.steps)
        return Product(encoder.cpu(), {"normalise": self.normalise})

    def _judged(self, run: Run, teachers: list[Any], data: RetrievalData) -> Any:
        return JudgedLesson(
            run,
            data,
            teachers,
            size=self.documents_per_query,
            depth=self.mined,
            normalise=self.normalise,
            scale=self.score_scale,
        )

    def _crops(self, run: Run, teachers: list[Any], data: RetrievalData) -> Any:
        return CroppedLesson(
            run,
            data,
            teachers,
            size=self.documents_per_query,
            normalise=self.normalise,
            scale=self.score_scale,
        )

    def _learn(self, run: Run, stage: str, encoder: Any, lesson: Any, steps: int) -> None:
        from limbeck.bridges.sentence_transformers.encoders import table_of
        from limbeck.bridges.sentence_transformers.losses import SparseDistillation

        # Where labels alone teach, teachers still say which wrong documents tempt.
        council = None if self.ranking == "info-nce" else lesson.council
        loss = SparseDistillation(
            encoder,
            council,
            ranking=self.ranking if council else "info-nce",
            in_batch=self.in_batch,
            weight=self.weight,
            sparsity=self.sparsity,
            warmup_steps=self.sparsity_warmup,
            threshold=self.threshold,
        )
        apart = {"idf": (table_of(encoder).weight, self.idf_lr)} if self.idf_lr else {}
        examples = lesson.examples(stage, self.batch_size)
        train_hosted(run, stage, encoder, loss, examples, self.optim, steps, apart=apart)


def _check_student(given: Any) -> None:
    """Find a student that stands for nothing before teachers are trained for hours."""
    if isinstance(given, nn.Module) and hasattr(given, "tokenizer") and hasattr(given, "model"):
        return
    if not isinstance(given, str):
        raise ArgumentError(
            f"the student is a {type(given).__name__}, expected a masked language model as a "
            "Transformer module of sentence-transformers, or a name such as bert?layers=2&width=128"
        )
    prefix, rest, options = split_name(given)
    if prefix in PREFIXES:
        length = options.pop("length", 1)
        if options or type(length) is not int or length < 1:
            raise ArgumentError(
                f"{given}: expected no option but length, a whole number of tokens, such as "
                f"{prefix}:{rest}?length=128"
            )
        place_of(prefix, rest)
    elif prefix or rest != "bert":
        raise UnknownNameError(
            f"there is no student {given!r} for retrieval; {nearest(prefix or rest, KNOWN)}"
        )
    else:
        Fresh.of(given)


def _student(run: Run, given: Any, data: RetrievalData) -> Any:
    from limbeck.bridges.sentence_transformers.encoders import masked_lm

    if isinstance(given, nn.Module):
        return copy.deepcopy(given)
    prefix, rest, options = split_name(given)
    if prefix in PREFIXES:
        with keyed.torch_seeded(keyed.key(run.seed, "student", "weights")):
            return masked_lm(place_of(prefix, rest), length=options.get("length"))
    return fresh_encoder(run, "student", given, data)
