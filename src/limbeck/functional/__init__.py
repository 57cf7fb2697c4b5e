"""Pure maths on tensors, one topic a file: usable in any training loop."""

from limbeck.functional.adversarial import (
    critic_loss,
    discriminator_input,
    discriminator_loss,
    generator_loss,
)
from limbeck.functional.attention import (
    attention_transfer_loss,
    relation_loss,
    relation_scores,
    spatial_attention,
)
from limbeck.functional.axioms import AxiomReport, AxiomSpec, check_axioms
from limbeck.functional.blends import (
    blend,
    greedy_weights,
    inverse_error_weights,
    weight_gini,
)
from limbeck.functional.bulk_forces import (
    EnsembleTarget,
    bulk_distillation_loss,
    bulk_distillation_terms,
    ensemble_target,
)
from limbeck.functional.cascades import (
    ExitWindow,
    cascade_cost,
    cascade_outputs,
    exit_window,
    in_window,
    stages_reached,
    threshold_window,
)
from limbeck.functional.class_gradients import class_gradient, semantic_distance, semantic_loss
from limbeck.functional.classification import (
    agreement,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
    reliability,
    top_k_accuracy,
)
from limbeck.functional.computation_trees import ComputationTrees, computation_trees
from limbeck.functional.contrastive import crd_loss
from limbeck.functional.convergence import (
    RateFit,
    RatePrediction,
    chain_distances,
    estimate_floor,
    fit_rate,
    pooled_variance,
    predict_rate,
)
from limbeck.functional.correlation import (
    correlation_loss,
    pearson_correlation,
    standardise_logits,
    standardised_divergence_loss,
)
from limbeck.functional.coverage import (
    manifold_scores,
    mean_pairwise_distance,
    mode_scores,
    nearest_distance,
)
from limbeck.functional.decoupled import decoupled_loss
from limbeck.functional.detection import auroc, aurr, fpr_at_tpr, risk_at_recall
from limbeck.functional.diffusion import (
    add_noise,
    convert_prediction,
    deterministic_step,
    guided,
    per_sample,
    prediction_target,
    velocity_step,
)
from limbeck.functional.distribution_matching import (
    augmentation_delta,
    denoising_loss,
    distribution_matching_loss,
    error_scale,
    match_delta,
    matching_direction,
    mean_variance_divergence,
    surrogate_loss,
)
from limbeck.functional.divergences import (
    entropy,
    log_probabilities,
    soft_multilabel_loss,
    soft_target_loss,
)
from limbeck.functional.f_divergences import f_divergence_weight
from limbeck.functional.features import (
    cosine_loss,
    feature_mse_loss,
    flow_matrix,
    fsp_loss,
    gram_loss,
    unit_vectors,
)
from limbeck.functional.forces import force_field_errors, force_field_loss, force_field_terms
from limbeck.functional.generative import (
    frechet_distance,
    gaussian_mmd,
    kernel_distance,
    sliced_wasserstein,
    unit_projections,
)
from limbeck.functional.item_sets import ItemSets, exclusive_item_sets, frequent_item_sets
from limbeck.functional.layers import layer_pairs, transport_loss, transport_plan
from limbeck.functional.matched_norm import matched_batch_norm
from limbeck.functional.mixing import blended, mixing_box, pasted
from limbeck.functional.moments import (
    Moments,
    combined,
    compressed,
    mean_squared_errors,
    moments,
    ridge_path,
)
from limbeck.functional.mutual_information import (
    critic_scores,
    info_nce_bound,
    log_mean_exp_of_others,
    mi_alpha_bound,
    nwj_bound,
    tuba_bound,
    vid_loss,
)
from limbeck.functional.noise_levels import (
    beta_schedule,
    karras_sigmas,
    precondition,
    shift_levels,
    vp_alpha_sigma,
)
from limbeck.functional.operators import (
    Anchoring,
    MetaTeacher,
    Pooling,
    Softening,
    keep_largest,
)
from limbeck.functional.pair_potentials import (
    PairPotential,
    cso_dispersion,
    damped_coulomb,
    shifted_coulomb,
    shifted_coulomb_self,
)
from limbeck.functional.pairwise import (
    lambda_loss,
    margin_mse_loss,
    pairwise_hinge_loss,
    ranknet_loss,
)
from limbeck.functional.pools import mean_logits, mean_probabilities
from limbeck.functional.pressure import alignment_pressure_loss, virial_pressure
from limbeck.functional.radial import RadialBasis, cosine_cutoff, exp_normal, exp_normal_basis
from limbeck.functional.rank_agreement import RankAgreement, rank_agreement
from limbeck.functional.ranking import (
    label_first_ranking,
    list_mle_loss,
    list_net_loss,
    plackett_luce_loss,
)
from limbeck.functional.readouts import root_readout
from limbeck.functional.recursion import (
    anchored_recursion,
    anchored_teacher,
    clip_probabilities,
    contraction_bound,
    contraction_rate,
    power_pool,
    soften,
    total_variation,
)
from limbeck.functional.relations import (
    cka_loss,
    linear_cka,
    pairwise_distances,
    pkt_loss,
    rkd_angle_loss,
    rkd_distance_loss,
    similarity_preserving_loss,
)
from limbeck.functional.retrieval import (
    candidate_scores,
    in_batch_negatives,
    info_nce_loss,
    pointwise_loss,
    strided_groups,
)
from limbeck.functional.schedules import (
    crop_scale_bounds,
    evaluation_rate,
    late_epochs,
    piecewise_constant,
    quadratic_warmup,
    smoothed_cosine,
)
from limbeck.functional.second_order import closed_form
from limbeck.functional.selective import (
    OperatingPoint,
    RiskCoverage,
    aurc,
    coverage_at_risk,
    risk_at_coverage,
    risk_coverage_curve,
    scod_curve,
    scod_risk_at_coverage,
)
from limbeck.functional.sharpness import ascent, surrogate_gap_direction
from limbeck.functional.siamese import siamese_augment
from limbeck.functional.soft_labels import learned_label_loss, recover_soft_labels
from limbeck.functional.soft_ranks import (
    approximate_ndcg_loss,
    approximate_ranks,
    average_ranks,
    rank_mse_loss,
)
from limbeck.functional.sparse_vectors import (
    bm25_idf,
    flops_regularizer,
    inference_free_query,
    splade_head,
    splade_pool,
)
from limbeck.functional.stack_columns import row_statistics
from limbeck.functional.stacking import (
    Projection,
    Removal,
    correlation_condition,
    redundancy_projection,
)
from limbeck.functional.statistics import (
    image_variation,
    recovery_terms,
    statistics_distance,
    statistics_regulariser,
    voting_weights,
)
from limbeck.functional.supervised import binary_cross_entropy, cross_entropy, squared_error
from limbeck.functional.surfaces import Surface, loss_surface
from limbeck.functional.synthetic_scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from limbeck.functional.teacher_scores import heterogeneous_scores, normalised_scores
from limbeck.functional.thresholds import operating_threshold
from limbeck.functional.tokens import token_divergence_loss
from limbeck.functional.trajectories import (
    average_correct_logits,
    relative_distance,
    start_epoch_upper_bound,
)
from limbeck.functional.transitions import (
    transition,
    transition_loss,
    transition_target,
    transition_weight,
)
from limbeck.functional.uncertainty import confidence_scores
from limbeck.functional.whitening import Zca, fit_zca

# Several names a line: one a line would pass the length that a file may have.
from limbeck.functional.zero_cost import (
    activation_pattern_score,
    gradient_norm,
    synaptic_saliency,
    zen_score,
)

__all__ = [
    "Anchoring", "AxiomReport", "AxiomSpec", "ComputationTrees", "EnsembleTarget", "ExitWindow",
    "ItemSets", "MetaTeacher", "Moments", "OperatingPoint", "PairPotential", "Pooling",
    "Projection", "RadialBasis", "RankAgreement", "RateFit", "RatePrediction", "Removal",
    "RiskCoverage", "Softening", "Surface", "Zca", "activation_pattern_score", "add_noise",
    "agreement", "alignment_pressure_loss", "anchored_recursion", "anchored_teacher",
    "approximate_ndcg_loss", "approximate_ranks", "ascent", "attention_transfer_loss",
    "augmentation_delta", "augmentation_robust_score", "aurc", "auroc", "aurr",
    "average_correct_logits", "average_ranks", "beta_schedule", "binary_cross_entropy", "blend",
    "blended", "bm25_idf", "brier_score", "bulk_distillation_loss", "bulk_distillation_terms",
    "candidate_scores", "cascade_cost", "cascade_outputs", "chain_distances", "check_axioms",
    "cka_loss", "class_gradient", "clip_probabilities", "closed_form", "combined", "compressed",
    "computation_trees", "confidence_scores", "contraction_bound", "contraction_rate",
    "convert_prediction", "correlation_condition", "correlation_loss", "cosine_cutoff",
    "cosine_loss", "coverage_at_risk", "crd_loss", "critic_loss", "critic_scores",
    "crop_scale_bounds", "cross_entropy", "cso_dispersion", "damped_coulomb", "decoupled_loss",
    "denoising_loss", "deterministic_step", "discriminator_input", "discriminator_loss",
    "distribution_matching_loss", "ensemble_target", "entropy", "error_scale", "estimate_floor",
    "evaluation_rate", "exclusive_item_sets", "exit_window", "exp_normal", "exp_normal_basis",
    "expected_calibration_error", "f_divergence_weight", "feature_mse_loss", "fit_rate", "fit_zca",
    "flops_regularizer", "flow_matrix", "force_field_errors", "force_field_loss",
    "force_field_terms", "fpr_at_tpr", "frechet_distance", "frequent_item_sets", "fsp_loss",
    "gaussian_mmd", "generator_loss", "gradient_norm", "gram_loss", "greedy_weights", "guided",
    "hard_label_recovery", "heterogeneous_scores", "image_variation", "improvement_over_random",
    "in_batch_negatives", "in_window", "inference_free_query", "info_nce_bound", "info_nce_loss",
    "inverse_error_weights", "karras_sigmas", "keep_largest", "kernel_distance",
    "label_first_ranking", "label_robust_score", "lambda_loss", "late_epochs", "layer_pairs",
    "learned_label_loss", "linear_cka", "list_mle_loss", "list_net_loss", "log_mean_exp_of_others",
    "log_probabilities", "loss_surface", "manifold_scores", "margin_mse_loss", "match_delta",
    "matched_batch_norm", "matching_direction", "mean_logits", "mean_pairwise_distance",
    "mean_probabilities", "mean_squared_errors", "mean_variance_divergence", "mi_alpha_bound",
    "mixing_box", "mode_scores", "moments", "nearest_distance", "negative_log_likelihood",
    "normalised_scores", "nwj_bound", "operating_threshold", "pairwise_distances",
    "pairwise_hinge_loss", "pasted", "pearson_correlation", "per_sample", "piecewise_constant",
    "pkt_loss", "plackett_luce_loss", "pointwise_loss", "pooled_variance", "power_pool",
    "precondition", "predict_rate", "prediction_target", "quadratic_warmup", "rank_agreement",
    "rank_mse_loss", "ranknet_loss", "recover_soft_labels", "recovery_terms",
    "redundancy_projection", "relation_loss", "relation_scores", "relative_distance", "reliability",
    "ridge_path", "risk_at_coverage", "risk_at_recall", "risk_coverage_curve", "rkd_angle_loss",
    "rkd_distance_loss", "root_readout", "row_statistics", "scod_curve", "scod_risk_at_coverage",
    "semantic_distance", "semantic_loss", "shift_levels", "shifted_coulomb", "shifted_coulomb_self",
    "siamese_augment", "similarity_preserving_loss", "sliced_wasserstein", "smoothed_cosine",
    "soft_multilabel_loss", "soft_target_loss", "soften", "spatial_attention", "splade_head",
    "splade_pool", "squared_error", "stages_reached", "standardise_logits",
    "standardised_divergence_loss", "start_epoch_upper_bound", "statistics_distance",
    "statistics_regulariser", "strided_groups", "surrogate_gap_direction", "surrogate_loss",
    "synaptic_saliency", "threshold_window", "token_divergence_loss", "top_k_accuracy",
    "total_variation", "transition", "transition_loss", "transition_target", "transition_weight",
    "transport_loss", "transport_plan", "tuba_bound", "unit_projections", "unit_vectors",
    "velocity_step", "vid_loss", "virial_pressure", "voting_weights", "vp_alpha_sigma",
    "weight_gini", "zen_score",
]  # fmt: skip
