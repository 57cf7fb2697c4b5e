"""What distilled sets are measured with: networks, whitening, scores, the rate."""

from __future__ import annotations

import torch

from limbeck.data import InputSpace
from limbeck.functional.schedules import evaluation_rate
from limbeck.functional.synthetic_scores import (
    augmentation_robust_score,
    hard_label_recovery,
    improvement_over_random,
    label_robust_score,
)
from limbeck.functional.whitening import fit_zca
from limbeck.networks import ConvNet
from limbeck.networks.names import build

from ..harness import adapter

STEM = "_dataset-distillation-protocol"
# What their published names are called here.
NETWORKS = {
    "MLP": "mlp?hidden=128x128",
    "LeNet": "lenet",
    "AlexNet": "alexnet",
    "VGG11": "vgg11",
    "VGG11BN": "vgg11?norm=batch",
}


def convnet(channels, classes, width, depth, norm, size, **options):
    return ConvNet(
        channels,
        (size, size),
        classes,
        width=width,
        depth=depth,
        norm=norm.removesuffix("norm"),
        **options,
    )


def parameters(network):
    return sum(one.numel() for one in network.parameters())


@adapter(STEM, "convnet_forward")
def convnet_forward(inputs, params):
    network = convnet(
        params["in_channels"],
        params["classes"],
        params["width"],
        params["depth"],
        params["norm"],
        params["size"],
        activation=params["activation"],
        pooling=params["pooling"].removesuffix("pooling"),
    ).double()
    with torch.no_grad():
        for own, given in zip(network.parameters(), inputs["params"], strict=True):
            own.copy_(given)
    return {"logits": network(inputs["x"])}


@adapter(STEM, "convnet_parameter_count")
def convnet_parameter_count(inputs, params):
    return {"counts": [parameters(convnet(*spec)) for spec in inputs["specs"]]}


@adapter(STEM, "eval_architecture_parameter_count")
def eval_architecture_parameter_count(inputs, params):
    space = InputSpace(size=(32, 32), channels=3)
    return {"counts": [parameters(build(NETWORKS[name], space, 10)) for name in inputs["names"]]}


@adapter(STEM, "zca_whitening")
def zca_whitening(inputs, params):
    zca = fit_zca(inputs["x_fit"], params["eps"])
    new = zca.apply(inputs["x_new"])
    return {
        "fit_whitened": zca.apply(inputs["x_fit"]),
        "new_whitened": new,
        "new_restored": zca.restore(new),
    }


@adapter(STEM, "label_robust_score")
def label_robust(inputs, params):
    real_hard, synthetic_hard, synthetic_own, random_own = inputs["accuracies"].unbind(1)
    score = label_robust_score(
        real_hard, synthetic_hard, synthetic_own, random_own, weight=params["w"]
    )
    return {
        "hlr": hard_label_recovery(real_hard, synthetic_hard),
        "ior": improvement_over_random(synthetic_own, random_own),
        "lrs": score,
    }


@adapter(STEM, "augmentation_robust_score")
def augmentation_robust(inputs, params):
    accuracies = inputs["accuracies"].unbind(1)
    return {"ars": augmentation_robust_score(*accuracies, weight=params["gamma"])}


@adapter(STEM, "evaluation_lr_schedule")
def evaluation_lr_schedule(inputs, params):
    epochs, lr = params["E"], params["lr"]
    rates = [evaluation_rate(epoch, epochs, lr) for epoch in range(epochs + 1)]
    return {
        "lr": rates,
        "first_epoch_with_low_lr": next((n for n, rate in enumerate(rates) if rate < lr), None),
    }
