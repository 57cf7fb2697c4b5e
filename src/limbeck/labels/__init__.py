"""What was said about samples and batches, on disk: rows in shards, draws that replay."""

from limbeck.labels.kept import Kept
from limbeck.labels.shards import Shards
from limbeck.labels.store import LabelStore, Replayed, labelled
from limbeck.labels.views import LabelViews, Replay

__all__ = ["Kept", "LabelStore", "LabelViews", "Replay", "Replayed", "Shards", "labelled"]
