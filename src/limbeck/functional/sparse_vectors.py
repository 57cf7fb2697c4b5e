"""Sparse vectors over a vocabulary: made of documents and queries, and kept sparse."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from limbeck.checks import check_choice, check_dimensions, check_floating, is_traced
from limbeck.errors import ArgumentError
from limbeck.functional.guards import check_numbers, traced, widened

Activation = Literal["log1p", "double_log1p"]
TokenPooling = Literal["max", "sum"]
# Weight of a token that no document of the corpus holds.
UNSEEN = 1.0


def flops_regularizer(
    vectors: Tensor,
    *,
    slots: int = 1,
    idf: Tensor | None = None,
    threshold: int | None = None,
) -> Tensor:
    r"""How many products a query costs that is as dense as the documents, smoothed (FLOPS).

    With slot k of the n documents of each of B queries:

    .. math:: F = \sum_{k=1}^{n} \sum_t \frac{1}{w_t^2}
        \Big( \frac1B \sum_{b=1}^{B} |v_{bkt}| \Big)^2

    One slot takes the mean over the whole batch, as sentence-transformers does; n slots take one
    mean each and add up, which for documents alike is n times as much: a weight of this term
    does not carry over from the one to the other.

    With `idf` the vectors are effective weights :math:`u_t = w_t d_t`, by which a query without
    weights of its own is scored: F of u is then the plain F of d.

    Args:
        vectors: ``(B * n, V)``, the n documents of the first query, then the second's ...
        slots: n; 1 takes the mean over all documents.
        idf: w, above 0, ``(V,)``; None weighs all tokens alike.
        threshold: documents with at most this many entries other than 0 count as empty, though
            they still count in B; None counts all in full.

    Returns:
        A scalar in float32 or wider.

    Raises:
        ArgumentError: shapes do not fit, an option is outside its range, or a vector on the CPU
            holds NaN.

    Example:
        >>> two = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
        >>> flops_regularizer(two).item(), flops_regularizer(two, slots=2).item()
        (4.0, 10.0)
        >>> flops_regularizer(torch.tensor([[6.0, 2.0]]), idf=torch.tensor([2.0, 1.0])).item()
        13.0

    Source: Paria et al., arXiv 2004.05665; slots and the penalty relative to idf: arXiv
    2411.04403; the threshold: arXiv 2504.14839.
    """
    check_dimensions(vectors, "vectors", 2, "(B * n, V): the documents of each query in turn")
    check_floating(vectors, "vectors")
    if slots < 1 or len(vectors) == 0 or len(vectors) % slots:
        raise ArgumentError(
            f"vectors has shape {tuple(vectors.shape)} and slots is {slots}, expected a positive "
            "multiple of slots as the number of rows: equally many documents for each query"
        )
    vectors = widened(vectors)
    if threshold is not None:
        if threshold < 0:
            raise ArgumentError(f"threshold is {threshold}, expected at least 0")
        dense = vectors.detach().count_nonzero(-1) > threshold
        vectors = torch.where(dense[:, None], vectors, 0.0)
    means = vectors.abs().unflatten(0, (-1, slots)).mean(0)
    if idf is not None:
        means = means / _checked_idf(idf, vectors).to(means)
    value = means.square().sum()
    check_numbers(value, "vectors", "sums")
    return value


def splade_pool(
    logits: Tensor,
    mask: Tensor,
    *,
    activation: Activation = "log1p",
    pooling: TokenPooling = "max",
    prune: float | None = None,
) -> Tensor:
    r"""Document vectors over the vocabulary from the logits of a masked language model (SPLADE).

    .. math:: d_v = \log(1 + \max_{t} \max(0, z_{tv}))

    over the real tokens t. The logarithm rises, so it is taken of the largest logit only, and in
    float32 or wider.

    Args:
        logits: z ``(N, T, V)``.
        mask: 1 (True) for real tokens and 0 for padding, ``(N, T)``.
        activation: ``"log1p"``, or ``"double_log1p"`` for the same logarithm once more.
        pooling: ``"max"``, or ``"sum"`` of the activations of all tokens.
        prune: p, 0 to 1: entries of at most p times the largest of their document become 0.

    Returns:
        Vectors ``(N, V)``, at least 0, in float32 or wider; 0 for a document without a token.

    Raises:
        ArgumentError: shapes do not fit, an option is outside its range, or a logit of a real
            token is NaN, on the CPU.

    Example:
        >>> logits = torch.tensor([[[1.0, -1.0], [3.0, -2.0], [9.0, 9.0]]])
        >>> splade_pool(logits, torch.tensor([[1, 1, 0]])).exp().tolist()
        [[4.0, 1.0]]

    Source: Formal et al., arXiv 2109.10086 (``"max"``) and 2107.05720 (``"sum"``);
    ``"double_log1p"``: arXiv 2504.14839.
    """
    check_dimensions(logits, "logits", 3, "(N, T, V): documents, tokens, vocabulary")
    check_floating(logits, "logits")
    check_choice(activation, "activation", ("log1p", "double_log1p"))
    check_choice(pooling, "pooling", ("max", "sum"))
    if mask.shape != logits.shape[:2]:
        raise ArgumentError(
            f"mask has shape {tuple(mask.shape)} and logits {tuple(logits.shape)}, expected mask "
            f"{tuple(logits.shape[:2])}"
        )
    real = mask.bool()
    if pooling == "max":
        pooled = _activated(widened(_largest(logits, real)), activation)
    else:
        every = torch.where(real[..., None], widened(logits), 0.0)
        pooled = _activated(every, activation).sum(1)
    check_numbers(pooled, "logits", "places of the vectors")
    return pooled if prune is None else _pruned(pooled, prune)


def splade_head(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    mask: Tensor,
    *,
    activation: Activation = "log1p",
    prune: float | None = None,
) -> Tensor:
    r"""Document vectors from what the last layer of a masked language model reads.

    .. math:: d_v = \log(1 + \max_{t} \max(0, w_v^\top h_t + b_v))

    The same as `splade_pool` of that layer's logits by their largest, which are never held all at
    once: forward a document at a time, and only for its real tokens; backward only for the token
    that won each place, T times fewer products than a layer and a maximum one after the other.

    Args:
        hidden: h ``(N, T, D)``.
        weight: w, of the last layer ``(V, D)``.
        bias: b ``(V,)``, or None.
        mask: 1 (True) for real tokens and 0 for padding, ``(N, T)``.
        activation: as `splade_pool` has it.
        prune: as `splade_pool` has it.

    Returns:
        Vectors ``(N, V)``, at least 0, in float32 or wider; 0 for a document without a token.

    Raises:
        ArgumentError: shapes do not fit, an option is outside its range, or a hidden state of a
            real token is NaN, on the CPU.

    Example:
        >>> hidden, weight = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]]), torch.eye(2)
        >>> splade_head(hidden, weight, None, torch.tensor([[1, 1]])).exp().tolist()
        [[4.0, 3.0]]

    Source: that of `splade_pool`; the order of the work is limbeck's.
    """
    check_dimensions(hidden, "hidden", 3, "(N, T, D): documents, tokens, hidden states")
    check_floating(hidden, "hidden")
    check_choice(activation, "activation", ("log1p", "double_log1p"))
    shapes = {"weight": weight, "bias": bias, "mask": mask}
    wanted = {
        "weight": (weight.shape[0], hidden.shape[2]),
        "bias": weight.shape[:1],
        "mask": hidden.shape[:2],
    }
    for name, given in shapes.items():
        if given is not None and given.shape != wanted[name]:
            raise ArgumentError(
                f"{name} has shape {tuple(given.shape)} and hidden {tuple(hidden.shape)}, expected "
                f"{name} {tuple(wanted[name])}"
            )
    pooled = _activated(_Winners.apply(hidden, weight, bias, mask.bool()), activation)
    check_numbers(pooled, "hidden", "places of the vectors")
    return pooled if prune is None else _pruned(pooled, prune)


def inference_free_query(
    ids: Tensor, idf: Tensor, *, special: Sequence[int] = (), mask: Tensor | None = None
) -> Tensor:
    r"""Query vectors that no network takes part in: a weight for each token that occurs.

    .. math:: q_t = \max(0, w_t) \quad \text{if } t \text{ occurs and is not special, else } 0

    Args:
        ids: tokens of the queries ``(N, T)``; how often one occurs is of no account.
        idf: w, a weight a token, ``(V,)``; may require grad.
        special: tokens that do not count, such as separators and padding.
        mask: 1 (True) for real tokens and 0 for padding, ``(N, T)``; None if all are.

    Returns:
        Vectors ``(N, V)``; all 0 for a query of special tokens only.

    Raises:
        ArgumentError: shapes do not fit, or a token lies outside the vocabulary.

    Example:
        >>> idf = torch.tensor([9.0, 2.0, -1.0, 3.0])
        >>> inference_free_query(torch.tensor([[0, 1, 1, 2]]), idf, special=[0]).tolist()
        [[0.0, 2.0, 0.0, 0.0]]

    Source: arXiv 2411.04403.
    """
    check_dimensions(ids, "ids", 2, "(N, T): the tokens of each query")
    check_dimensions(idf, "idf", 1, "(V,): a weight for each token")
    if ids.is_floating_point() or ids.dtype == torch.bool:
        raise ArgumentError(f"ids has dtype {ids.dtype}, expected whole numbers; use ids.long()")
    if not is_traced(ids) and ids.numel():
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= len(idf):
            raise ArgumentError(
                f"ids holds tokens from {low} to {high}, expected 0 to {len(idf) - 1}: idf has "
                f"{len(idf)} weights; take the table of this tokenizer"
            )
    counted = torch.ones_like(ids, dtype=idf.dtype) if mask is None else mask.to(idf.dtype)
    if counted.shape != ids.shape:
        raise ArgumentError(
            f"mask has shape {tuple(counted.shape)} and ids {tuple(ids.shape)}, expected equal"
        )
    occurs = idf.new_zeros(len(ids), len(idf)).scatter_add_(1, ids.long(), counted) > 0
    if len(special):
        occurs[:, torch.as_tensor(special, device=ids.device)] = False
    return torch.where(occurs, idf.relu(), 0.0)


def bm25_idf(
    document_ids: Iterable[Sequence[int]], vocabulary: int, *, special: Iterable[int] = ()
) -> Tensor:
    r"""Inverse document frequency of every token, as BM25 weighs them.

    .. math:: w_t = \ln \Big( 1 + \frac{N - n_t + 1/2}{n_t + 1/2} \Big)

    with :math:`n_t` of N documents holding token t. It is above 0 for every token.

    Args:
        document_ids: the tokens of each document, one after the other; a generator will do.
        vocabulary: V.
        special: tokens that do not count; a document without another one is none.

    Returns:
        float32 ``(V,)``; 1 for tokens that occur nowhere.

    Raises:
        ArgumentError: a token lies outside the vocabulary, or no document has one that counts.

    Example:
        >>> [round(weight, 4) for weight in bm25_idf([[2, 2, 3], [0, 2]], 4, special=[0]).tolist()]
        [1.0, 1.0, 0.1823, 0.6931]

    Source: Robertson and Zaragoza, Foundations and Trends in IR 3, 2009, in Lucene's form.
    """
    held = [0] * vocabulary
    left_out = frozenset(special)
    documents = 0
    for ids in document_ids:
        tokens = set(ids) - left_out
        documents += bool(tokens)
        for token in tokens:
            if not 0 <= token < vocabulary:
                raise ArgumentError(
                    f"document_ids holds token {token}, expected 0 to {vocabulary - 1}"
                )
            held[token] += 1
    if not documents:
        raise ArgumentError(
            "no document of document_ids has a token that counts; is the corpus empty, or was it "
            "cut into special tokens only?"
        )
    found = torch.tensor(held, dtype=torch.float64)
    weights = torch.log1p((documents - found + 0.5) / (found + 0.5))
    return torch.where(found > 0, weights, UNSEEN).float()


def _checked_idf(idf: Tensor, vectors: Tensor) -> Tensor:
    if idf.shape != vectors.shape[1:]:
        raise ArgumentError(
            f"idf has shape {tuple(idf.shape)} and vectors {tuple(vectors.shape)}, expected idf "
            f"{tuple(vectors.shape[1:])}"
        )
    if not traced(idf) and not bool((idf > 0).all()):
        raise ArgumentError(
            f"idf holds weights of at most 0, such as {float(idf.min()):.4g}, which no penalty can "
            "be relative to; expected all above 0, as bm25_idf gives them"
        )
    return idf


def _activated(value: Tensor, activation: Activation) -> Tensor:
    value = value.relu().log1p()
    return value.log1p() if activation == "double_log1p" else value


def _pruned(vectors: Tensor, prune: float) -> Tensor:
    if not 0 <= prune <= 1:
        raise ArgumentError(f"prune is {prune}, expected a share of the largest entry, 0 to 1")
    return torch.where(vectors > prune * vectors.amax(-1, keepdim=True), vectors, 0.0)


def _largest(logits: Tensor, real: Tensor) -> Tensor:
    """Largest logit ``(N, V)`` over real tokens; what comes of padding is at most 0."""
    if traced(logits):
        return torch.where(real[..., None], logits, 0.0).amax(1)
    return _Largest.apply(logits, real)


class _Largest(torch.autograd.Function):
    """A document at a time: no second tensor of the size of the logits is held, forward."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, real: Tensor) -> Tensor:
        values = logits.new_zeros(logits.shape[0], logits.shape[2])
        places = torch.zeros_like(values, dtype=torch.long)
        if logits.shape[1]:
            for row, kept, value, place in zip(logits, real, values, places, strict=True):
                # Zero in the place of padding changes nothing once negative entries are cut.
                torch.max(row.masked_fill(~kept[:, None], 0.0), 0, out=(value, place))
        ctx.save_for_backward(places)
        ctx.shape = logits.shape
        return values

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        slope = upstream.new_zeros(ctx.shape)
        if ctx.shape[1]:
            slope = slope.scatter(1, places[:, None], upstream[:, None])
        return slope, None


class _Winners(torch.autograd.Function):
    """Largest products of the tokens of a document with each row of a table, at least 0."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, real: Tensor
    ) -> Tensor:
        table = weight.to(hidden.dtype)
        best = hidden.new_zeros(len(hidden), len(weight))
        places = torch.zeros(best.shape, dtype=torch.long, device=hidden.device)
        for row, (states, kept) in enumerate(zip(hidden, real, strict=True)):
            tokens = kept.nonzero()[:, 0]
            if len(tokens):
                value, place = (states[tokens] @ table.T).max(0)
                best[row], places[row] = value, tokens[place]
        values = widened(best)
        if bias is not None:
            # Of a document without a token nothing is said, whatever the bias.
            values = torch.where(real.any(1)[:, None], values + bias, 0.0)
        values = values.relu()
        ctx.save_for_backward(hidden, weight, bias, places, values > 0)
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
        hidden, weight, bias, places, above = ctx.saved_tensors
        slope = torch.where(above, upstream, 0.0)
        table = weight.to(slope.dtype)
        of_hidden = slope.new_zeros(hidden.shape)
        of_weight = torch.zeros_like(table)
        for states, down, along, place in zip(hidden, slope, of_hidden, places, strict=True):
            rows = down.nonzero()[:, 0]
            factor, tokens = down[rows, None], place[rows]
            along.index_add_(0, tokens, factor * table[rows])
            of_weight.index_add_(0, rows, factor * states[tokens].to(slope.dtype))
        of_bias = None if bias is None else slope.sum(0).to(bias.dtype)
        return of_hidden.to(hidden.dtype), of_weight.to(weight.dtype), of_bias, None
