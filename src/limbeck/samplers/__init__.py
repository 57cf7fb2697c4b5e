"""How denoisers are asked, level by level, for samples."""

from limbeck.samplers.few_step import FewStep, advance, evaluations, sample, steps
from limbeck.samplers.noise import unit_noise

__all__ = ["FewStep", "advance", "evaluations", "sample", "steps", "unit_noise"]
