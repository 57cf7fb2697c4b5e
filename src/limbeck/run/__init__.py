"""One run folder: stages, checkpoints, metrics, progress, the engine and the executor."""

from limbeck.run.run import At, Run

__all__ = ["At", "Run"]
