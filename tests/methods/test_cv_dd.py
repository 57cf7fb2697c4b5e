"""CV-DD: who votes and how much, priors on validation, labels of the committee."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import limbeck
from limbeck import cards, keyed
from limbeck.data import digits
from limbeck.errors import ArgumentError, SettingsError, UnusualUseWarning
from limbeck.functional import voting_weights
from limbeck.loops.relabel import batch_logits
from limbeck.method import complete
from limbeck.methods.cda.cda import CDA
from limbeck.methods.cv_dd.cv_dd import CVDD, voting_group
from limbeck.networks.batch_norm import batch_statistics
from limbeck.networks.names import build
from limbeck.run import Run
from limbeck.run.exhibits import read_exhibits

TINY = cards.preset("cv-dd", "tiny")["settings"]


def method(**changes):
    return CVDD(**{**TINY, **changes})


def network(seed=0, width=4):
    data = digits()
    with keyed.torch_seeded(seed):
        made = build(f"convnet-d1?norm=batch&width={width}", data.input_space, 10).train()
        made(data.normalise(data.columns(data.train, torch.arange(64).numpy()))["x"])
    return made.eval()


def test_groups_go_in_the_published_order():
    priors = (63.0, 65.3, 68.5, 67.6, 67.4)
    groups = [voting_group(priors, 2, turn, 10, "auto", 0) for turn in range(10)]
    assert groups[:5] == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 2)]
    assert len(set(groups)) == 10
    assert voting_group(priors, 2, 0, 1, "auto", 0) == (2, 3)
    drawn = {voting_group(priors, 2, turn, 50, "auto", 0) for turn in range(50)}
    assert len(drawn) > 5
    assert voting_group(priors, 2, 7, 50, "random", 3) == voting_group(
        priors, 2, 7, 50, "random", 3
    )
    assert voting_group(priors, 3, 1, 4, "each", 0) == (0, 1, 3)


def test_votes_follow_priors_or_are_equal_or_drawn():
    priors = [50.0, 60.0]
    weighed = method()._votes((0, 1), priors, 0, 0)
    assert weighed == tuple(voting_weights(priors, 5.0).tolist())
    assert method(voting="equal")._votes((0, 1), priors, 0, 0) == (0.5, 0.5)
    drawn = method(voting="random")._votes((0, 1), priors, 0, 0)
    assert sum(drawn) == pytest.approx(1)
    assert drawn != method(voting="random")._votes((0, 1), priors, 1, 0)


def test_labels_are_the_committees_on_the_statistics_of_each_half(tmp_path):
    networks = [network(0), network(1, 6)]
    given = method(priors=(70.0, 60.0))
    made = given.distill(Run(tmp_path), teacher=networks, data="digits")
    batch = made.replay().batch(2)
    weights = voting_weights([70.0, 60.0], 10.0)
    with batch_statistics(*networks):
        told = batch_logits(networks, batch["x"], weights=weights, pieces=2)
    torch.testing.assert_close(batch["teacher_logits"], told, rtol=2e-3, atol=2e-3)


def test_the_first_network_may_label_alone(tmp_path):
    networks = [network(0), network(1, 6)]
    given = method(priors=(70.0, 60.0), labellers="first")
    made = given.distill(Run(tmp_path), teacher=networks, data="digits")
    batch = made.replay().batch(2)
    with batch_statistics(networks[0]):
        told = batch_logits(networks[:1], batch["x"], pieces=2)
    torch.testing.assert_close(batch["teacher_logits"], told, rtol=2e-3, atol=2e-3)


def test_priors_are_measured_on_validation(tmp_path):
    seen = []
    from limbeck.methods.cv_dd import cv_dd as module

    plain = module.trained

    def noting(run, cases, label):
        seen.extend(case.scored for case in cases)
        return plain(run, cases, label)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "trained", noting)
        method().distill(Run(tmp_path), teacher=[network(0), network(1, 6)], data="digits")
    assert seen == ["validation", "validation"]
    _, sheets, _ = read_exhibits(tmp_path)
    priors = [float(row[1]) for row in sheets[1].rows]
    assert len(priors) == 2
    assert all(0 <= prior <= 100 for prior in priors)


def test_one_voter_is_a_recovery_from_one_network_to_the_bit(tmp_path):
    """What the paper calls SRe2L++ is the other method's special case too."""
    teacher, one = network(), method(voters=1)
    voted, others, _ = complete(one, tmp_path / "one", {"teacher": teacher, "data": digits()})
    recovery = dataclasses.replace(one.recovery)
    plain = CDA(
        images_per_class=1,
        start="mosaic",
        patches=one.patches,
        recovery=recovery,
        relabelling=one.relabelling,
        recipe=one.recipe,
    ).distill(tmp_path / "plain", teacher=teacher, data=digits())
    assert torch.equal(voted.images, plain.images)
    assert torch.equal(others["one voter"].images, plain.images)
    for step in range(8):
        first, second = voted.replay().batch(step), plain.replay().batch(step)
        assert torch.equal(first["teacher_logits"], second["teacher_logits"])


def test_baselines_have_the_same_labels_and_the_strong_single_voter(tmp_path):
    _, others, _ = complete(
        method(priors=(70.0, 60.0)),
        tmp_path,
        {"teacher": [network(0), network(1, 6)], "data": digits()},
    )
    assert list(others) == [
        "random images", "k-means images", "k-center images", "mosaics", "noise images",
        "hard labels", "one voter",
    ]  # fmt: skip
    assert all(len(one.images) == 10 for one in others.values())


def test_bad_committees_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="lets 2 networks vote on an image and got 1"):
        method().distill(tmp_path / "a", teacher=network(), data="digits")
    with pytest.raises(SettingsError, match="priors has 3 numbers and there are 2 networks"):
        method(priors=(1.0, 2.0, 3.0)).distill(
            tmp_path / "b", teacher=[network(0), network(1)], data="digits"
        )
    with pytest.raises(SettingsError, match="priors"):
        method(priors=(-1.0, 2.0))


def test_pairs_may_be_given_and_must_be_numbers_of_networks(tmp_path):
    given = method(images_per_class=2, priors=(1.0, 2.0, 3.0), pairs=((0, 2), (1, 2)))
    networks = [network(0), network(1, 6), network(2, 5)]
    given.distill(Run(tmp_path / "a"), teacher=networks, data="digits")
    jobs = sorted(path.name for path in (tmp_path / "a" / "jobs").glob("block-*"))
    assert jobs == ["block-0+2-0", "block-1+2-1"]
    with pytest.raises(SettingsError, match=r"pairs has \[0, 5\], expected 2 different numbers"):
        method(pairs=((0, 5),)).distill(tmp_path / "b", teacher=networks, data="digits")


def test_weights_of_an_ensemble_are_refused(tmp_path):
    members = [limbeck.teacher(network(seed)) for seed in (0, 1)]
    weighed = limbeck.ensemble(*members, weights=[1.0, 0.0])
    with pytest.raises(ArgumentError, match="cv-dd weighs its members by their priors"):
        method().distill(tmp_path, teacher=weighed, data="digits")


def test_tables_keep_labels_on_batch_statistics():
    kept = CVDD(relabelling={"store": "top5"}, patches={"factor": 1})
    assert kept.relabelling.batch_statistics
    assert (kept.relabelling.views.batch_size, kept.relabelling.pieces) == (16, 2)
    assert kept.patches.difficulty == "medium"


def test_parts_that_students_do_not_see_are_told(tmp_path):
    recipe = {**TINY["recipe"], "accumulate": 1}
    with pytest.warns(UnusualUseWarning, match="set recipe.accumulate to 2"):
        method(recipe=recipe, priors=(70.0, 60.0)).distill(
            tmp_path, teacher=[network(0), network(1)], data="digits"
        )


def test_batches_too_small_for_their_statistics_are_refused(tmp_path):
    relabelling = {**TINY["relabelling"], "views": {"steps": 4, "batch_size": 3}}
    with pytest.raises(ArgumentError, match="which a single image has not"):
        method(relabelling=relabelling, priors=(70.0, 60.0)).distill(
            tmp_path, teacher=["convnet-d1?norm=batch&width=4"] * 2, data="digits"
        )
    assert not list(tmp_path.rglob("*.safetensors"))
