"""Losses in the form that trainers of sentence-transformers call: kernels of limbeck behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import torch
from sentence_transformers.base.losses.merged_forward import embed_columns
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_gather

from limbeck.bridges.sentence_transformers.encoders import documents_of, table_of
from limbeck.bridges.sentence_transformers.pooling import as_one
from limbeck.errors import ArgumentError
from limbeck.functional import (
    candidate_scores,
    flops_regularizer,
    in_batch_negatives,
    inference_free_query,
    info_nce_loss,
    list_net_loss,
    margin_mse_loss,
    quadratic_warmup,
)

Ranking = Literal["kl", "margin-mse", "info-nce"]
TeacherScores = Callable[[Tensor, Tensor], Tensor]


class SparseDistillation(nn.Module):
    r"""Rank as the teachers do, with few tokens a document.

    .. math:: L = w \, L_{rank} + \lambda(i) \sum_k \sum_t
        \Big( \frac1B \sum_b |d_{bkt}| \Big)^2

    The columns of a batch are queries and n documents each; its labels are row numbers
    ``(B, 1 + n)``, that of the query first, by which teachers are asked.

    Several processes share their documents: each scores its queries against all, gradients of a
    document come back from all, and the mean over processes is the gradient of the whole batch.

    Args:
        model: an encoder as `assembled` makes it; the trainer puts its own wrapping in its place.
        teacher: from row numbers of queries ``(B,)`` and documents, ``(B, n)`` or with `in_batch`
            ``(M,)``, to scores ``(B, n)`` or ``(B, M)``; None learns from the first document's
            being the right one.
        ranking: ``"kl"`` or ``"margin-mse"`` from the teacher, ``"info-nce"`` without one.
        in_batch: score queries against the documents of all queries.
        weight: w.
        sparsity: :math:`\lambda`, its full weight.
        warmup_steps: T of the quadratic warm-up of the weight.
        threshold: documents with at most so many tokens are not pressed further.
        step: number of the step that is done now, which whoever trains keeps up to date.

    Raises:
        ArgumentError: the teacher is missing or of no use.

    Source: arXiv 2411.04403.
    """

    def __init__(
        self,
        model: Any,
        teacher: TeacherScores | None,
        *,
        ranking: Ranking = "kl",
        in_batch: bool = True,
        weight: float = 1.0,
        sparsity: float = 0.002,
        warmup_steps: float = 200,
        threshold: int | None = None,
        step: int = 0,
    ) -> None:
        super().__init__()
        if (teacher is None) != (ranking == "info-nce"):
            raise ArgumentError(
                f"ranking is {ranking!r} and there is {'no' if teacher is None else 'a'} teacher; "
                "kl and margin-mse learn from teachers, info-nce from judged documents alone"
            )
        self.model = model
        # Out of the module's sight: a teacher is never trained, moved or saved with a student.
        self._teacher = (teacher,)
        self.table, self.documents = (table_of(model),), (documents_of(model),)
        self.ranking, self.in_batch = ranking, in_batch
        self.weight, self.sparsity, self.warmup_steps = weight, sparsity, warmup_steps
        self.threshold, self.step = threshold, step
        self.active = torch.zeros(())

    @property
    def pressure(self) -> float:
        r""":math:`\lambda(i)` of this step."""
        return quadratic_warmup(self.step, self.sparsity, self.warmup_steps)

    def forward(
        self, sentence_features: list[dict[str, Tensor]], labels: Tensor
    ) -> dict[str, Tensor]:
        """The terms of a batch, which the trainer adds up and logs.

        Args:
            sentence_features: tokens of the queries, then of each column of documents.
            labels: row numbers ``(B, 1 + n)``.
        """
        query = self._queries(sentence_features[0])
        with as_one(*self.documents[0]):
            columns = embed_columns(self.model, sentence_features[1:], separate_first=False)
        slots = len(columns)
        # Query-major: the n documents of the first query, then the second's ...
        own = torch.stack(columns, 1).flatten(0, 1)
        documents, rows = shared(own), shared(labels)
        with torch.no_grad():
            active = (documents > 0).sum(-1, dtype=torch.float32)
            self.active = active.mean()
        # Half precision would round scores to an eighth: they are products in full.
        with torch.autocast(query.device.type, enabled=False):
            ranking = self._rank(query, own, documents, labels, rows, slots)
        terms = {"ranking": self.weight * ranking}
        flops = flops_regularizer(documents, slots=slots, threshold=self.threshold)
        terms["flops"] = self.pressure * flops
        return terms

    def _queries(self, features: Mapping[str, Tensor]) -> Tensor:
        table = self.table[0]
        return inference_free_query(
            features["input_ids"], table.weight, mask=features["attention_mask"]
        )

    def _rank(
        self,
        query: Tensor,
        own: Tensor,
        documents: Tensor,
        labels: Tensor,
        rows: Tensor,
        slots: int,
    ) -> Tensor:
        # Where among the documents of all processes this one's begin.
        first = _rank_of_process() * len(query)
        if self.in_batch:
            scores, asked = query @ documents.T, rows[:, 1:].flatten()
        else:
            scores, asked = candidate_scores(query, own), labels[:, 1:]
        if self.ranking == "info-nce":
            return self._info_nce(scores, rows, first, slots)
        (teacher,) = self._teacher
        assert teacher is not None
        with torch.no_grad():
            said = teacher(labels[:, 0], asked).to(scores)
        if self.ranking == "kl":
            return list_net_loss(scores, said, divergence="kl")
        if self.in_batch:
            scores, said = _own_first(scores, first, slots), _own_first(said, first, slots)
        return margin_mse_loss(scores, said)

    def _info_nce(self, scores: Tensor, rows: Tensor, first: int, slots: int) -> Tensor:
        if not self.in_batch:
            return info_nce_loss(scores, scores.new_zeros(len(scores), dtype=torch.long))
        positive, mask = in_batch_negatives(len(rows), slots, device=scores.device)
        mine = slice(first, first + len(scores))
        positive, mask = positive[mine], mask[mine]
        if slots == 1:
            # There are no negatives but the others' positives.
            mask = torch.ones_like(mask)
        # A document that answers another query of the batch too is no negative of this one.
        documents = rows[:, 1:].flatten()
        same = documents[None] == documents[positive][:, None]
        places = torch.arange(len(documents), device=scores.device)
        mask = mask & (~same | (places[None] == positive[:, None]))
        return info_nce_loss(scores, positive, mask=mask)


def shared(value: Tensor) -> Tensor:
    """Rows of all processes in order of rank; gradients of the own ones come from all of them."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return value
    if distributed.get_world_size() == 1:
        return value
    if value.requires_grad:
        return torch.cat(list(all_gather(value)))
    parts = [torch.empty_like(value) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, value.contiguous())
    return torch.cat(parts)


def _own_first(scores: Tensor, first: int, slots: int) -> Tensor:
    """In-batch scores ``(B, M)`` turned so that each query's own first document leads."""
    count = scores.shape[1]
    start = (first + torch.arange(len(scores), device=scores.device)) * slots
    return scores.gather(1, (start[:, None] + torch.arange(count, device=scores.device)) % count)


def _rank_of_process() -> int:
    ready = distributed.is_available() and distributed.is_initialized()
    return distributed.get_rank() if ready else 0
