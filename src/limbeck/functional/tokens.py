"""Divergences of language models, token by token, without a second copy of all probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from limbeck.catalogue import loss
from limbeck.checks import check_dimensions, check_no_grad, check_same_shape
from limbeck.errors import ArgumentError
from limbeck.functional.divergences import Divergence, divergences
from limbeck.functional.features import check_mask
from limbeck.functional.guards import reduce_counted, refuse_nan
from limbeck.functional.reductions import Reduction, reduce

# A chunk's temporaries, in float32 up to 20 times its entries, stay small beside all logits if it
# holds at most this share of their bytes ...
SHARE = 1 / 256
# ... but not fewer entries than these, below which calls cost more than what they compute, and not
# more than those, beyond which a larger chunk is not faster.
FEWEST, MOST = 2**16, 2**24
# A compiled graph repeats all that is done to a chunk for each of them.
COMPILED_CHUNKS = 16


@loss(
    "token-kl",
    "KL divergence at every token of a sequence, in chunks",
    student="token logits",
    teacher=("token logits",),
    source="arXiv 1606.07947",
    softens=True,
)
@loss(
    "token-reverse-kl",
    "Reverse KL divergence at every token of a sequence, in chunks",
    student="token logits",
    teacher=("token logits",),
    source="arXiv 2306.08543",
    softens=True,
    options={"divergence": "reverse_kl"},
)
@loss(
    "token-js",
    "Jensen-Shannon divergence at every token of a sequence, in chunks",
    student="token logits",
    teacher=("token logits",),
    source="arXiv 2306.13649",
    softens=True,
    options={"divergence": "js"},
)
def token_divergence_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    mask: Tensor | None = None,
    divergence: Divergence = "kl",
    temperature: float = 1.0,
    temperature_squared: bool = True,
    mixture: float = 0.5,
    chunk: int | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""`soft_target_loss` at every token of a batch of sequences, in chunks.

    .. math:: L = \frac{1}{|M|} \sum_{(n, t) \in M}
        D\big(\mathrm{softmax}(z^t_{nt} / T), \mathrm{softmax}(z^s_{nt} / T)\big)

    with M the real tokens and D the divergence. Probabilities exist for one chunk of tokens at a
    time, in the backward pass too, where they are computed again; what stays is the gradient of
    the student's logits. Pad with `mask` rather than slice the logits: the gradient of a slice
    is a second tensor of full size.

    Args:
        student_logits: ``(N, T, V)``.
        teacher_logits: ``(N, T, V)``, without gradient; its dtype may differ.
        mask: True for real tokens ``(N, T)``; None if all are. What stands at the others, NaN
            included, changes nothing.
        divergence: ``"kl"``, ``"reverse_kl"``, ``"js"`` or ``"cross_entropy"``.
        temperature: T above 0.
        temperature_squared: multiply by T², which keeps the size of the gradient when T changes.
        mixture: the teacher's share of the mixture of ``"js"``, 0 to 1.
        chunk: tokens taken at a time; None chooses so that the loss and its gradient need at
            most 1.3 times the bytes of the student's logits, or 5 MB more than these bytes. In
            a compiled graph, which grows with the number of chunks, None makes about 16.
        reduction: ``"mean"`` over real tokens (0 if there are none), ``"sum"`` or ``"none"``.

    Returns:
        A scalar, or ``(N, T)`` with ``"none"``, 0 at tokens that are not real; in float32 or
        wider.

    Raises:
        ArgumentError: shapes differ, the teacher requires grad, a real token has a logit that is
            not a number, or an option is outside its range.

    Example:
        >>> student = torch.zeros(1, 2, 3)
        >>> teacher = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
        >>> round(token_divergence_loss(student, teacher).item(), 4)
        0.2165
        >>> mask = torch.tensor([[True, False]])
        >>> round(token_divergence_loss(student, teacher, mask=mask).item(), 4)
        0.433

    Source: Kim and Rush, arXiv 1606.07947 (``"kl"``); Gu et al., arXiv 2306.08543
    (``"reverse_kl"``); Agarwal et al., arXiv 2306.13649 (``"js"``).
    """
    check_dimensions(student_logits, "student_logits", 3, "(N, T, V): sequences, tokens, words")
    if student_logits.shape[-1:] != teacher_logits.shape[-1:]:
        raise ArgumentError(
            f"student_logits has shape {tuple(student_logits.shape)} and teacher_logits "
            f"{tuple(teacher_logits.shape)}: the vocabularies differ; cut padded words off both, "
            "or use a teacher with the student's tokenizer"
        )
    check_same_shape(student_logits, teacher_logits, ("student_logits", "teacher_logits"))
    check_no_grad(teacher_logits, "teacher_logits")
    if mask is not None:
        check_mask(mask, student_logits.shape[:2])
    if chunk is None:
        chunk = _default_chunk(student_logits)
    elif chunk < 1:
        raise ArgumentError(f"chunk is {chunk}, expected at least 1 token")
    loss = partial(
        divergences,
        divergence=divergence,
        temperature=temperature,
        temperature_squared=temperature_squared,
        mixture=mixture,
    )
    value: Tensor = _Tokens.apply(student_logits, teacher_logits, mask, loss, chunk)
    hint = ", or is a padded token missing from the mask"
    refuse_nan(value, "student_logits or teacher_logits", "tokens", hint)
    return reduce(value, reduction) if mask is None else reduce_counted(value, mask, reduction)


def _default_chunk(logits: Tensor) -> int:
    tokens, words = logits.shape[:2].numel(), max(logits.shape[-1], 1)
    if torch.compiler.is_compiling():
        return max(1, -(-tokens // COMPILED_CHUNKS))
    share = int(SHARE * min(logits.element_size() / 4, 1) * tokens)
    return max(1, min(max(share, FEWEST // words), MOST // words))


class _Tokens(torch.autograd.Function):
    """Loss of each token ``(N, T)`` and its gradient, a chunk at a time."""

    @staticmethod
    def forward(
        student: Tensor, teacher: Tensor, mask: Tensor | None, loss: Any, chunk: int
    ) -> Tensor:
        wide = torch.promote_types(torch.promote_types(student.dtype, teacher.dtype), torch.float32)
        value = student.new_empty(student.shape[:2], dtype=wide)
        for part in _chunks(value, chunk):
            real = None if mask is None else mask[part]
            value[part] = _value(student[part], teacher[part], real, loss)
        return value

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        student, teacher, mask, ctx.loss, ctx.chunk = inputs
        ctx.save_for_backward(student, teacher, mask)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        student, teacher, mask = ctx.saved_tensors
        slope = torch.empty_like(student)
        for part in _chunks(upstream, ctx.chunk):
            real = None if mask is None else mask[part]
            slope[part] = _slope(student[part], teacher[part], real, ctx.loss, upstream[part])
        return slope, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        """Mapped batches are more sequences."""

        def folded(value: Tensor | None, axis: int | None) -> Tensor | None:
            if value is None:
                return None
            if axis is None:
                return value.expand(info.batch_size, *value.shape).flatten(0, 1)
            return value.movedim(axis, 0).flatten(0, 1)

        tensors = map(folded, inputs[:3], in_dims[:3])
        value = _Tokens.apply(*tensors, *inputs[3:])
        return value.unflatten(0, (info.batch_size, len(value) // info.batch_size)), 0


def _chunks(values: Tensor, chunk: int) -> Iterator[tuple[slice, slice]]:
    """Slices of sequences and tokens ``(N, T)`` that hold at most `chunk` tokens each."""
    sequences, tokens = values.shape
    rows = max(1, chunk // max(tokens, 1))
    for first in range(0, sequences, rows):
        for start in range(0, tokens, chunk):
            yield slice(first, first + rows), slice(start, start + chunk)


def _value(student: Tensor, teacher: Tensor, real: Tensor | None, loss: Any) -> Tensor:
    if real is not None:
        student = torch.where(real[..., None], student, 0.0)
        teacher = torch.where(real[..., None], teacher, 0.0)
    return loss(student, teacher)


def _slope(
    student: Tensor, teacher: Tensor, real: Tensor | None, loss: Any, upstream: Tensor
) -> Tensor:
    """The gradient of a chunk; a function, so that its temporaries go before the next begins."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        # A second derivative is wanted, or a graph; either needs what takes a second to load.
        pull = torch.func.vjp(lambda logits: _value(logits, teacher, real, loss), student)[1]
        return pull(upstream)[0]
    with torch.enable_grad():
        leaf = student.detach().requires_grad_()
        total = (_value(leaf, teacher, real, loss) * upstream).sum()
    return torch.autograd.grad(total, leaf)[0]
