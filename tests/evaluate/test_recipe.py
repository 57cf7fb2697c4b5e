"""Recipe: training on replayed labels as written out, the last weights beside late ones."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from limbeck import keyed
from limbeck.data import digits
from limbeck.errors import ArgumentError
from limbeck.evaluate.recipe import Recipe
from limbeck.labels.views import LabelViews
from limbeck.loops import Optim
from limbeck.loops.relabel import Relabelling, relabelled
from limbeck.networks.fresh import fresh
from limbeck.networks.names import build
from limbeck.products import SyntheticDataset
from limbeck.run import Run

NETWORK = "convnet-d1?norm=batch&width=4"
RECIPE = Recipe(network=NETWORK, repeats=1, temperature=4.0)


def small_set(folder, *, soft=True, recipe=RECIPE, **views):
    data = digits()
    places = np.arange(20)
    pictures = data.input_space.to_bytes(data.normalise(data.columns(data.train, places))["x"])
    labels = data.train.y[places]
    with keyed.torch_seeded(5):
        teacher = build(NETWORK, data.input_space, 10).eval()
    shown = LabelViews(**{"steps": 12, "batch_size": 8, "low": 0.5, **views})
    store = relabelled(
        Run(folder), "labels", pictures, labels, data.input_space, 10,
        [teacher] if soft else [], None, Relabelling(views=shown),
    )  # fmt: skip
    return SyntheticDataset(
        pictures, labels, data.input_space, data.classes, replayed=store, protocol=recipe
    )


@pytest.mark.parametrize("soft", [True, False])
@pytest.mark.parametrize("parts", [1, 2])
def test_it_trains_as_a_written_out_loop_does(tmp_path, soft, parts):
    recipe = dataclasses.replace(RECIPE, accumulate=parts)
    small = small_set(tmp_path / "labels", soft=soft, recipe=recipe, epochs=5, steps=None)
    data = small.as_data(digits())
    learner = fresh(NETWORK, data.input_space, 10, 1)
    other = fresh(NETWORK, data.input_space, 10, 1)
    learnt = recipe.train(Run(tmp_path / "run"), "student", learner, data, NETWORK)
    assert learnt.step == 13

    matrices = [one for one in other.parameters() if one.ndim > 1]
    vectors = [one for one in other.parameters() if one.ndim < 2]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    optim = torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.999))
    other.train()
    for step, batch in enumerate(small.replay().batches(0, 13)):
        epoch = step * 5 // 13
        for group in optim.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + np.cos(np.pi * epoch / 5))
        optim.zero_grad()
        for part in batch.pieces(parts):
            z = other(part["x"])
            if soft:
                teacher = (part["teacher_logits"] / 4).softmax(1)
                loss = F.kl_div((z / 4).log_softmax(1), teacher, reduction="batchmean")
            else:
                loss = F.cross_entropy(z, part["label_probabilities"])
            (loss * part.size / 8).backward()
        optim.step()
    for (name, one), expected in zip(
        learner.state_dict().items(), other.state_dict().values(), strict=True
    ):
        if name in ("features.0.bias", "features.1.running_mean"):
            # BatchNorm takes a bias before it out again: its gradient is rounding alone.
            continue
        torch.testing.assert_close(one, expected, rtol=1e-3, atol=1e-5, msg=name)


def test_the_table_has_the_last_weights_and_the_best_late_ones(tmp_path):
    recipe = dataclasses.replace(RECIPE, optim=Optim("adamw", lr=0.02, schedule="cosine"))
    small = small_set(tmp_path / "labels", recipe=recipe, epochs=60, steps=None)
    row = small.judged(digits(), Run(tmp_path / "run")).rows()[0]
    assert set(row["quality"]) == {"accuracy", "accuracy_std", "nll", "best_accuracy"}
    assert row["cost"]["bytes"] == small.bytes()["images"] + 8 * 20 + small.replayed.bytes


def test_late_weights_are_chosen_on_validation_and_the_last_stay_in_the_network(
    tmp_path, monkeypatch
):
    from limbeck.evaluate import recipe as module
    from limbeck.loops.alternate import Watch

    scores = iter([0.9, 0.1, 0.2])
    monkeypatch.setattr(
        module, "validation_watch", lambda data, **_: Watch(lambda models: next(scores), 1)
    )
    small = small_set(tmp_path / "labels", epochs=100, steps=None)
    data = small.as_data(digits())
    learner = fresh(NETWORK, data.input_space, 10, 1)
    looked = dataclasses.replace(RECIPE)
    learnt = looked.train(Run(tmp_path / "run"), "student", learner, data, NETWORK)
    # Epochs 89 and 99 of 100 are late: of the two looks the first is better.
    assert next(scores) == 0.2
    assert learnt.best is not None
    weights = learner.state_dict()
    assert any(not torch.equal(weights[name], one) for name, one in learnt.best.items())


def test_networks_have_learning_rates_of_their_own():
    recipe = Recipe(rates={"lenet": 0.5, "torchvision:resnet50": 0.1})
    assert recipe.rate("lenet") == 0.5
    assert recipe.rate("torchvision:resnet50?pretrained=false") == 0.1
    assert recipe.rate("resnet18?norm=batch") == recipe.optim.lr


def test_a_set_without_replayed_labels_is_refused(tmp_path):
    data = digits()
    with pytest.raises(ArgumentError, match="no replayed labels"):
        RECIPE.train(Run(tmp_path), "student", fresh(NETWORK, data.input_space, 10, 0), data, "")


def test_judging_again_takes_what_was_found(tmp_path):
    small = small_set(tmp_path / "labels")
    run = Run(tmp_path / "run")
    first = small.judged(digits(), run)
    again = small.judged(digits(), run)
    assert first.figures == again.figures
