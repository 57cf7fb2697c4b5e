"""Pure maths on tensors, one topic a file: usable in any training loop."""

from limbeck.functional.classification import (
    agreement,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    top_k_accuracy,
)
from limbeck.functional.divergences import entropy, log_probabilities, soft_target_loss
from limbeck.functional.pools import mean_logits, mean_probabilities

__all__ = [
    "agreement",
    "brier_score",
    "entropy",
    "expected_calibration_error",
    "log_probabilities",
    "mean_logits",
    "mean_probabilities",
    "negative_log_likelihood",
    "reliability",
    "soft_target_loss",
    "top_k_accuracy",
]
