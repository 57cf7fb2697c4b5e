"""An exported cascade without torch: NumPy, JSON and onnxruntime are all it needs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from limbeck.errors import ArgumentError, ModelError, RunError

SIDECAR = "cascade.json"
Numbers = npt.NDArray[Any]


class Answer(NamedTuple):
    """What a cascade says about N inputs.

    Args:
        logits: ``(N, C)``; of an ensemble their softmax is the mean of the probabilities.
        confidence: ``(N,)``, float64.
        reached: the stage that each ends at, from 0, ``(N,)``.
    """

    logits: Numbers
    confidence: Numbers
    reached: Numbers


class OnnxCascade:
    """Read a folder that ``export(to="onnx")`` wrote, and run it.

    Args:
        folder: with ``cascade.json`` and a file a stage.
        threads: of onnxruntime; None lets it choose.

    Raises:
        RunError: the folder holds no such export.
        ModelError: onnxruntime is not installed.
    """

    def __init__(self, folder: str | Path, *, threads: int | None = None) -> None:
        path = Path(folder) / SIDECAR
        if not path.is_file():
            raise RunError(f"{folder} holds no {SIDECAR}: it is no cascade exported with to='onnx'")
        self.facts: dict[str, Any] = json.loads(path.read_text())
        self.classes: tuple[str, ...] = tuple(self.facts["labels"])
        self._windows = [_ends(one) for one in self.facts["windows"]]
        self._score = SCORES[self.facts["score"]]
        self._sessions = [_session(Path(folder) / name, threads) for name in self.facts["stages"]]

    def run(self, x: npt.ArrayLike) -> Answer:
        """Ask each stage about the inputs that reach it, and about no others.

        Args:
            x: values before normalisation ``(N, ...)``, as ``cascade.json`` says under inputs.

        Raises:
            ArgumentError: the shape differs, or a value is not finite.
        """
        part = self._checked(x)
        going = np.arange(len(part))
        told: Numbers = np.empty((0, len(part), len(self.classes)), dtype=np.float32)
        answer = Answer(
            np.empty(told.shape[1:], dtype=np.float32),
            np.empty(len(part)),
            np.zeros(len(part), dtype=np.int64),
        )
        for stage, session in enumerate(self._sessions):
            if not len(going):
                break
            said, *left = session.run(None, {session.get_inputs()[0].name: part})
            told = np.concatenate([told, said[None]])
            confidence = self._confidence(told)
            answer.logits[going] = self._said(told)
            answer.confidence[going] = confidence
            answer.reached[going] = stage
            if stage == len(self._windows):
                break
            low, high = self._windows[stage]
            kept = np.flatnonzero((confidence >= low) & (confidence <= high))
            # Exits of one network go on from what the one before left, members from the inputs.
            part = (left[0] if left else part)[kept]
            going, told = going[kept], told[:, kept]
        return answer

    def predict(self, x: npt.ArrayLike) -> Numbers:
        """Class indices ``(N,)``."""
        return self.run(x).logits.argmax(-1)

    def probabilities(self, x: npt.ArrayLike) -> Numbers:
        """Class probabilities ``(N, C)``, float64."""
        return np.exp(_log_softmax(self.run(x).logits))

    def accept(self, x: npt.ArrayLike) -> Numbers:
        """Which predictions meet the target that the cascade was calibrated for, ``(N,)``.

        Raises:
            ModelError: no threshold of acceptance was exported.
        """
        threshold = self.facts["acceptance"]
        if threshold is None:
            raise ModelError(
                "the cascade was exported without a threshold of acceptance; calibrate it first"
            )
        return self.run(x).confidence >= threshold

    def _said(self, told: Numbers) -> Numbers:
        if not self.facts["averaged"] or len(told) == 1:
            return told[-1]
        shares = _log_softmax(told)
        top = shares.max(0)
        return top + np.log(np.exp(shares - top).mean(0))

    def _confidence(self, told: Numbers) -> Numbers:
        scored = told if self.facts["averaged"] else told[-1:]
        return self._score(scored.astype(np.float64)).mean(0)

    def _checked(self, x: npt.ArrayLike) -> Numbers:
        given = np.asarray(x)
        read = given.astype(np.float32)
        if given.dtype == np.uint8:
            # Bytes stand for shares of 255, as everywhere in limbeck.
            read /= 255
        expected = tuple(self.facts["inputs"][0]["shape"][1:])
        if read.shape[1:] != expected or not read.ndim:
            raise ArgumentError(
                f"x has shape {read.shape}, expected (N, {', '.join(map(str, expected))})"
            )
        if not np.isfinite(read).all():
            raise ArgumentError("x holds NaN or infinite values; drop or repair those inputs")
        return read


def _log_softmax(logits: Numbers) -> Numbers:
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    return wide - top - np.log(np.exp(wide - top).sum(-1, keepdims=True))


def _negative_entropy(logits: Numbers) -> Numbers:
    log_shares = _log_softmax(logits)
    return (np.exp(log_shares) * log_shares).sum(-1)


def _energy(logits: Numbers) -> Numbers:
    top = logits.max(-1)
    return top + np.log(np.exp(logits - top[..., None]).sum(-1))


SCORES: dict[str, Callable[[Numbers], Numbers]] = {
    "msp": lambda logits: np.exp(_log_softmax(logits).max(-1)),
    "entropy": _negative_entropy,
    "max_logit": lambda logits: logits.max(-1),
    "energy": _energy,
}


def _ends(window: Sequence[float | None] | None) -> tuple[float, float]:
    """Both ends of a window: None within it is an end at infinity, None itself holds nothing."""
    if window is None:
        return np.inf, -np.inf
    low, high = window
    return -np.inf if low is None else low, np.inf if high is None else high


def _session(path: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ModelError(
            "onnxruntime is not installed; pip install onnxruntime, or 'limbeck[export]'"
        ) from None
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
