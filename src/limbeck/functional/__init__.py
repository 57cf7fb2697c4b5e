"""Pure maths on tensors, one topic a file: usable in any training loop."""

from limbeck.functional.classification import (
    agreement,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    top_k_accuracy,
)
from limbeck.functional.correlation import (
    correlation_loss,
    pearson_correlation,
    standardise_logits,
)
from limbeck.functional.decoupled import decoupled_loss
from limbeck.functional.divergences import (
    entropy,
    log_probabilities,
    soft_multilabel_loss,
    soft_target_loss,
)
from limbeck.functional.pairwise import (
    lambda_loss,
    margin_mse_loss,
    pairwise_hinge_loss,
    ranknet_loss,
)
from limbeck.functional.pools import mean_logits, mean_probabilities
from limbeck.functional.ranking import (
    label_first_ranking,
    list_mle_loss,
    list_net_loss,
    plackett_luce_loss,
)
from limbeck.functional.recursion import (
    anchored_recursion,
    anchored_teacher,
    contraction_bound,
    contraction_rate,
    power_pool,
    soften,
    total_variation,
)
from limbeck.functional.retrieval import (
    candidate_scores,
    in_batch_negatives,
    info_nce_loss,
    pointwise_loss,
)
from limbeck.functional.soft_ranks import (
    approximate_ndcg_loss,
    approximate_ranks,
    average_ranks,
    rank_mse_loss,
)
from limbeck.functional.supervised import binary_cross_entropy, cross_entropy, squared_error

__all__ = [
    "agreement",
    "anchored_recursion",
    "anchored_teacher",
    "approximate_ndcg_loss",
    "approximate_ranks",
    "average_ranks",
    "binary_cross_entropy",
    "brier_score",
    "candidate_scores",
    "contraction_bound",
    "contraction_rate",
    "correlation_loss",
    "cross_entropy",
    "decoupled_loss",
    "entropy",
    "expected_calibration_error",
    "in_batch_negatives",
    "info_nce_loss",
    "label_first_ranking",
    "lambda_loss",
    "list_mle_loss",
    "list_net_loss",
    "log_probabilities",
    "margin_mse_loss",
    "mean_logits",
    "mean_probabilities",
    "negative_log_likelihood",
    "pairwise_hinge_loss",
    "pearson_correlation",
    "plackett_luce_loss",
    "pointwise_loss",
    "power_pool",
    "rank_mse_loss",
    "ranknet_loss",
    "reliability",
    "soft_multilabel_loss",
    "soft_target_loss",
    "soften",
    "squared_error",
    "standardise_logits",
    "top_k_accuracy",
    "total_variation",
]
