"""What was said about samples, on disk: rows in order, cut into shards."""

from limbeck.labels.shards import Shards

__all__ = ["Shards"]
