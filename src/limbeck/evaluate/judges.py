"""Judges: a classifier of real images, in whose features generated ones are compared with them."""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from limbeck import keyed
from limbeck import outputs as reading
from limbeck.data.data import Data
from limbeck.data.splits import TensorSplit
from limbeck.evaluate.quality import collect
from limbeck.functional.classification import top_k_accuracy
from limbeck.loops.fit import fit
from limbeck.loops.optim import Optim
from limbeck.networks.names import build
from limbeck.objectives import label_term
from limbeck.run.run import Run
from limbeck.selection.embeddings import embeddings

STAGE, NETWORK = "judge", "cnn?width=32&stages=2"
STEPS, BATCH = 600, 128
OPTIM = Optim(name="adamw", lr=2e-3, weight_decay=1e-4, schedule="cosine")


class Judge:
    """A trained classifier of images.

    Args:
        network: gives logits.
        data: that it was trained on; says how images are read.

    Example:
        >>> from limbeck.data import digits
        >>> data = digits()
        >>> judge = Judge(build("cnn?width=4", data.input_space, 10), data)
        >>> judge.features(data.test.take(range(3))["x"] / 255).shape
        torch.Size([3, 8])
    """

    def __init__(self, network: nn.Module, data: Data) -> None:
        self.network, self.data = network, data

    def features(self, x: Tensor) -> Tensor:
        """What the network sees in images ``(N, C, H, W)`` before its last layer, ``(N, D)``."""
        return embeddings(self.network, self.data, TensorSplit({"x": x}))

    def accuracy(self, x: Tensor, labels: Tensor) -> float:
        """The share of images ``(N, C, H, W)`` that are taken for what they shall show ``(N,)``."""
        split = TensorSplit({"x": x, "y": labels})
        logits, target = collect(lambda batch: reading.of(self.network, batch), self.data, split)
        return float(top_k_accuracy(logits, target))


def judge_of(run: Run, data: Data) -> Judge:
    """Train the judge of some data, or take the one that a run has.

    It has a folder and a seed of its own: what different runs on the same data say can be compared.

    Args:
        run: the folder.
        data: images; it learns from the training split.

    Returns:
        The judge.
    """
    options = dataclasses.replace(run.options, trackers=())
    own = Run(run.dir / STAGE, options=options)
    # Processes meet in one engine.
    own.engine = run.engine
    # The judge is the same whatever it is asked about.
    data = dataclasses.replace(data, test=data.validation)
    with keyed.torch_seeded(keyed.key(own.seed, STAGE)):
        network = build(NETWORK, data.input_space, data.outputs)

    def train(network: nn.Module, data: Data, optim: Optim, steps: int) -> dict[str, Tensor]:
        task = label_term(data.task)
        fit(own, STAGE, network, data, None, task, optim, steps, batch_size=BATCH)
        return network.state_dict()

    weights = own.stage(STAGE, train, network=network, data=data, optim=OPTIM, steps=STEPS)
    network.load_state_dict(weights)
    return Judge(network, data)
