"""Dispersion counts once: in targets and the student's past, and never against labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from limbeck.data.boxes import with_molecules
from limbeck.data.names import resolve
from limbeck.errors import ArgumentError
from limbeck.loops.force_distilling import BulkWeights, Course, alternating
from limbeck.loops.force_fields import PropertyWeights, force_error, fresh_force_field
from limbeck.loops.force_frames import told_frames
from limbeck.loops.force_pressure import Past
from limbeck.loops.optim import Optim
from limbeck.networks import GET
from limbeck.networks.names import build
from limbeck.run import Run

CONSTANTS = {number: (300.0 * number, 2.0) for number in (1, 6, 7, 8)}


@pytest.fixture(scope="module")
def data():
    return resolve("molecules?frames=30&box=4")


def network(dispersion=CONSTANTS):
    torch.manual_seed(3)
    options = {"width": 8, "heads": 2, "layers": 2, "radial": 4, "pair_cutoff": 6.0}
    return GET("HCNO", **options, dispersion=dispersion)


def first_losses(run, net, frames, data, terms):
    """Terms of a step on frames and of one on labels, of a network that stays as it is."""
    seen = []

    def kept(find):
        def found(said, batch):
            seen.append(find(said, batch))
            return seen[-1]

        return found

    course = Course(
        2, 1, 4, Optim("sgd", lr=1e-30), "energy", kept(terms), kept(PropertyWeights().terms)
    )
    alternating(run, "course", net, frames, data.train, course)
    return seen


def test_an_unchanged_network_with_dispersion_has_moved_no_pressure(data, tmp_path):
    net = network()
    past = Past.of(net, with_molecules(data.liquid), np.zeros(1, dtype=np.int64), np.zeros(1))
    terms = lambda said, batch: past.terms(said, batch, BulkWeights(1.0, 1.0, 1.0))  # noqa: E731
    bulk, _ = first_losses(Run(tmp_path), net, past.frames, data, terms)
    assert set(bulk) == {"pressure", "forces", "energy", "virial"}
    for name, value in bulk.items():
        assert float(value.detach()) == pytest.approx(0.0, abs=1e-4), name


def test_a_member_alone_is_no_way_from_its_own_targets_but_learns_labels_bare(data, tmp_path):
    from limbeck.loops.force_distilling import counts_of

    net = network()
    told, _ = told_frames(Run(tmp_path / "told"), [net], data.liquid)

    def terms(said, batch):
        return BulkWeights().terms(
            said, {name: batch[name] for name in told.labels}, counts_of(batch)
        )

    bulk, labelled = first_losses(Run(tmp_path / "run"), net, told, data, terms)
    assert all(float(value.detach()) < 1e-5 for value in bulk.values())
    _, plain = first_losses(Run(tmp_path / "plain"), network(False), told, data, terms)
    for name, value in plain.items():
        torch.testing.assert_close(labelled[name], value)
    assert force_error(net, data.test) == pytest.approx(force_error(network(False), data.test))


def test_dispersion_without_constants_is_refused(data, tmp_path):
    empty = network(True)
    with pytest.raises(ArgumentError, match=r"constants are all 0.*dispersion=\{8"):
        told_frames(Run(tmp_path), [empty], data.test)
    with pytest.raises(ArgumentError, match="constants are all 0"):
        fresh_force_field(Run(tmp_path), "get?width=8&heads=2&dispersion=true", data)


def test_a_fresh_network_keeps_constants(data, tmp_path):
    named = build("get?species=HCNO&width=8&heads=2&layers=2&radial=4&dispersion=true", None, 1)
    named.dispersion.load_state_dict(network().dispersion.state_dict())
    for given in (named, network()):
        made = fresh_force_field(Run(tmp_path), given, data, 1)
        assert torch.equal(made.dispersion.constants, given.dispersion.constants)
        assert not torch.equal(made.embedding.weight, given.embedding.weight)
        assert float(made.energy[0].bias.detach().abs().max()) == 0.0
