"""The graph equivariant transformer: what physics says exactly, and what it refuses."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from limbeck.errors import ArgumentError
from limbeck.functional import (
    damped_coulomb,
    force_field_loss,
    shifted_coulomb,
    shifted_coulomb_self,
)
from limbeck.functional.units import COULOMB, DEBYE
from limbeck.networks.get import GET

from .atom_graphs import batch_of, graph_of, molecules

CELL = np.array([[6.0, 0.0, 0.0], [0.7, 5.5, 0.0], [-0.4, 0.9, 6.3]])
# What every frame or atom has.
VALUES = ("energy", "forces", "virial", "charges", "dipole", "charge_response")


def network(dtype=torch.float64, **options):
    torch.manual_seed(3)
    made = GET("HCOFLi", width=16, heads=4, layers=3, radial=8, pair_cutoff=6.0, **options)
    with torch.no_grad():
        for weight in made.parameters():
            weight.add_(0.05 * torch.randn_like(weight))
    return made.to(dtype)


def only(part, made):
    """The network without its charges, or without the energies that it learns."""
    last = {"energy": made.charges.head, "charge": made.energy}[part][-1]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    return made


def cluster(seed=0, **options):
    return graph_of(*molecules(seed, options.pop("count", 2)), **options)


def box(seed=1, **options):
    random = np.random.default_rng(seed)
    shares = (np.indices((2, 2, 2)).reshape(3, -1).T + 0.25) / 2
    positions = (shares + random.normal(size=shares.shape) * 0.06) @ CELL
    numbers = random.choice([1, 6, 8, 9], len(positions))
    options = {"cell": CELL, "pair_cutoff": 6.0, **options}
    return graph_of(numbers, positions, **options)


def moved(graph, positions, **changes):
    return {**graph, "positions": torch.as_tensor(positions).to(graph["positions"]), **changes}


def strained(graph, strain):
    """The graph with all of space stretched."""
    stretch = torch.eye(3, dtype=torch.float64) + strain
    names = ("positions", "edge_shifts", "pair_shifts", "cell")
    return {**graph, **{name: graph[name] @ stretch.T for name in names}}


def close(found, expected, dtype=torch.float64):
    relative = 1e-10 if dtype == torch.float64 else 1e-4
    most = float(expected.detach().abs().amax())
    torch.testing.assert_close(found, expected, rtol=0, atol=relative * max(most, 1.0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("mirror", [1, -1])
@pytest.mark.parametrize("made", [cluster, box])
def test_turning_mirroring_and_moving(made, mirror, dtype):
    graph, model = made(dtype=dtype), network(dtype)
    turn = torch.tensor(mirror * Rotation.random(random_state=2).as_matrix()).to(dtype)
    offset = torch.tensor([3.0, -7.0, 2.0], dtype=dtype)
    turned = moved(graph, graph["positions"] @ turn.T + offset)
    for name in ("edge_shifts", "pair_shifts", "cell"):
        turned[name] = graph[name] @ turn.T
    before, after = model(graph), model(turned)
    for name in ("energy", "charges"):
        close(after[name], before[name], dtype)
    for name in ("forces", "charge_response", "dipole"):
        close(after[name], before[name] @ turn.T, dtype)
    close(after["virial"], turn @ before["virial"] @ turn.T, dtype)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_atoms_in_another_order(dtype):
    graph, model = cluster(dtype=dtype), network(dtype)
    order = torch.tensor(np.random.default_rng(0).permutation(len(graph["species"])))
    places = order.argsort()
    other = {
        **graph,
        **{name: graph[name][order] for name in ("species", "positions", "frame")},
        **{name: places[graph[name]] for name in ("edges", "pairs")},
    }
    before, after = model(graph), model(other)
    for name in ("energy", "virial", "dipole"):
        close(after[name], before[name], dtype)
    for name in ("forces", "charges", "charge_response"):
        close(after[name], before[name][order], dtype)


def test_edges_in_another_order_and_beyond_the_cutoff_change_nothing():
    model = network()
    for made in (cluster, box):
        graph, skin = made(), made(cutoff=6.0, **({"pair_cutoff": 7.0} if made is box else {}))
        assert skin["edges"].shape[1] > graph["edges"].shape[1]
        order = torch.randperm(skin["edges"].shape[1])
        skin["edges"], skin["edge_shifts"] = skin["edges"][:, order], skin["edge_shifts"][order]
        before, after = model(graph), model(skin)
        for name in VALUES:
            close(after[name], before[name])


def test_charges_sum_to_the_total_charge():
    model = network()
    graphs = [cluster(0, charge=1.0), cluster(1, charge=-1.0, count=3), box()]
    found = model(batch_of(graphs))["charges"]
    sums = torch.stack([one.sum() for one in found.split([len(g["species"]) for g in graphs])])
    close(sums, torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64))
    assert found.std() > 0.01


def slope_of_energy(model, graph, step=1e-5):
    """Minus the finite difference of the energy by each coordinate."""
    slopes = torch.zeros_like(graph["positions"])
    for place in np.ndindex(*slopes.shape):
        change = torch.zeros_like(slopes)
        change[place] = step
        high, low = (model(moved(graph, graph["positions"] + c)) for c in (change, -change))
        slopes[place] = -(high["energy"].sum() - low["energy"].sum()) / (2 * step)
    return slopes


@pytest.mark.parametrize("graph", [cluster(charge=1.0), box()], ids=["cluster", "box"])
@pytest.mark.parametrize("part", ["energy", "charge"])
def test_forces_are_slopes(part, graph):
    model = only(part, network())
    if part == "charge":
        torch.nn.init.zeros_(model.charges.head[-1].weight)  # charges stay as they are
    found = model(graph)
    expected = slope_of_energy(model, graph)
    torch.testing.assert_close(found["forces"], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("graph", [cluster(charge=1.0), box()], ids=["cluster", "box"])
def test_forces_and_the_response_of_charges_are_the_whole_slope(graph):
    model = network()
    found = model(graph)
    assert found["charge_response"].abs().amax() > 0.1
    whole = found["forces"] + found["charge_response"]
    torch.testing.assert_close(whole, slope_of_energy(model, graph), rtol=1e-6, atol=2e-6)


def pair_energy(graph, charges, model):
    """Coulomb energy of a frame at given charges, written out pair by pair."""
    first, second = graph["pairs"]
    spans = graph["positions"][first] - graph["positions"][second] - graph["pair_shifts"]
    limits = {"cutoff": model.pair_cutoff, "splitting": model.splitting}
    if bool(graph["periodic"]):
        unit = shifted_coulomb(spans.norm(dim=1), **limits).energy
        itself = shifted_coulomb_self(**limits) * charges.square().sum()
    else:
        unit, itself = damped_coulomb(spans.norm(dim=1)).energy, 0.0
    return (charges[first] * charges[second] * unit).sum() + itself


@pytest.mark.parametrize("graph", [cluster(charge=-1.0), box()], ids=["cluster", "box"])
def test_pair_forces_and_virial_are_slopes_at_charges_held_fixed(graph):
    model = only("charge", network()).eval()
    found = model(graph)
    x = graph["positions"].clone().requires_grad_()
    strain = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    energy = pair_energy(strained({**graph, "positions": x}, strain), found["charges"], model)
    by_place, by_strain = torch.autograd.grad(energy, (x, strain))
    close(found["forces"], -by_place)
    close(found["virial"][0], -by_strain)


@pytest.mark.parametrize("graph", [cluster(), box()], ids=["cluster", "box"])
def test_the_virial_is_minus_the_slope_by_strain(graph):
    model, step = only("energy", network()), 1e-5
    found = model(graph)["virial"][0]
    assert float(model.eval()(graph)["charges"].abs().amax()) == 0
    expected = torch.zeros_like(found)
    for place in np.ndindex(3, 3):
        change = torch.zeros(3, 3, dtype=torch.float64)
        change[place] = step
        high, low = (model(strained(graph, one))["energy"] for one in (change, -change))
        expected[place] = -(high - low)[0] / (2 * step)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found, found.T, rtol=1e-9, atol=1e-9)


def test_unequal_frames_in_a_batch_are_as_one_by_one():
    model = network()
    graphs = [cluster(0, charge=1.0), cluster(5, count=3), box(2), cluster(6, count=1)]
    singly = [model(one) for one in graphs]
    together = model(batch_of(graphs))
    for name in VALUES:
        close(together[name], torch.cat([one[name] for one in singly]))


def test_a_larger_box_of_the_same_is_the_same():
    model, graph = network(), box()
    shifts = np.stack(np.meshgrid(*[range(2)] * 3, indexing="ij"), -1).reshape(-1, 3) @ CELL
    positions = np.concatenate([graph["positions"].numpy() + shift for shift in shifts])
    numbers = np.tile(graph["species"].numpy(), len(shifts))
    large = graph_of(numbers, positions, cell=2 * CELL, pair_cutoff=6.0)
    small, found = model(graph), model(large)
    close(found["energy"], 8 * small["energy"])
    close(found["virial"], 8 * small["virial"])
    for name in ("forces", "charges", "charge_response"):
        close(found[name], small[name].repeat(8, *[1] * (small[name].ndim - 1)))


def test_wrapping_an_atom_into_the_box_changes_nothing_but_the_dipole():
    model, graph = network(), box()
    positions = graph["positions"].numpy() + np.eye(8, 1) * CELL[0]
    other = graph_of(graph["species"].numpy(), positions, cell=CELL, pair_cutoff=6.0)
    before, after = model(graph), model(other)
    for name in ("energy", "forces", "charges", "virial"):
        close(after[name], before[name])


def apart(distance):
    """Two clusters, and both in one frame at a distance."""
    (n1, x1), (n2, x2) = molecules(0, 2), molecules(4, 3)
    x2 = x2 + np.array([0.0, distance, 0.0])
    together = graph_of(np.concatenate([n1, n2]), np.concatenate([x1, x2]))
    return graph_of(n1, x1), graph_of(n2, x2), together


def test_learned_energies_of_clusters_far_apart_add_up():
    model = only("energy", network())
    one, two, both = apart(40.0)
    singly, found = [model(one), model(two)], model(both)
    close(found["energy"], sum(each["energy"] for each in singly))
    close(found["forces"], torch.cat([each["forces"] for each in singly]))


def test_copies_far_apart_add_up_in_every_part():
    """Of unlike ones they do not: the shift to the total charge is over all atoms of a frame."""
    model = network()
    numbers, x = molecules(0, 2)
    single = model(graph_of(numbers, x))["energy"]
    gaps = []
    for distance in (1e3, 2e3):
        both = np.concatenate([x, x + np.array([0.0, 0.0, distance])])
        found = model(graph_of(np.tile(numbers, 2), both))["energy"]
        gaps.append((found - 2 * single).abs().item())
    assert gaps[0] < 1e-5
    assert gaps[1] < gaps[0] / 4  # what is left falls as between dipoles, by the third power


def test_a_single_ion_hears_nothing():
    model = network()
    found = model(graph_of([3], [[1.0, 2.0, 3.0]], charge=1.0))
    assert found["charges"].item() == pytest.approx(1.0)
    for name in ("forces", "virial", "charge_response"):
        assert found[name].abs().amax().item() == 0
    close(found["dipole"][0] * DEBYE, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    pair = model(batch_of([graph_of([3], [[0.0, 0.0, 0.0]], charge=1.0), cluster()]))
    close(pair["energy"][1], model(cluster())["energy"][0])


def test_two_ions_far_apart_are_coulombs_law():
    model = network().eval()
    graph = graph_of([3, 3], [[0.0, 0.0, 0.0], [20.0, 0.0, 0.0]], charge=2.0)
    found = model(graph)
    assert found["forces"][1, 0].item() == pytest.approx(COULOMB / 400)
    singly = model(graph_of([3], [[0.0, 0.0, 0.0]], charge=1.0))["energy"].item()
    assert found["energy"].item() - 2 * singly == pytest.approx(COULOMB / 20)


def test_the_loss_of_training_differentiates_twice():
    model = network()
    graph = batch_of([cluster(0, charge=1.0), cluster(7), box()])
    torch.manual_seed(0)
    target = {name: torch.randn_like(value) for name, value in model(graph).items()}
    target = {name: value.detach() for name, value in target.items() if name != "charge_response"}

    def value():
        return force_field_loss(model(graph), target, response_weight=10.0)

    loss = value()
    weights = dict(model.named_parameters())
    slopes = torch.autograd.grad(loss, list(weights.values()))
    step = 1e-6
    for (name, weight), slope in zip(weights.items(), slopes, strict=True):
        direction = torch.randn_like(weight)
        ends = []
        for sign in (1, -1):
            with torch.no_grad():
                weight.add_(direction, alpha=sign * step)
            ends.append(value().item())
            with torch.no_grad():
                weight.sub_(direction, alpha=sign * step)
        expected = (ends[0] - ends[1]) / (2 * step)
        assert (slope * direction).sum().item() == pytest.approx(expected, rel=2e-4, abs=1e-3), name


def test_evaluation_works_without_gradients_around_it():
    model, graph = network(), cluster()
    trained = model(graph)
    assert trained["forces"].requires_grad
    assert trained["energy"].requires_grad
    model.eval()
    for around in (torch.no_grad, torch.inference_mode, torch.enable_grad):
        with around():
            found = model(graph)
        assert set(found) == set(VALUES) - {"charge_response"}
        for name, value in found.items():
            assert not value.requires_grad
            torch.testing.assert_close(value, trained[name].detach())
    model.train()
    with torch.no_grad():
        found = model(graph)
    assert not found["charge_response"].requires_grad
    torch.testing.assert_close(found["charge_response"], trained["charge_response"].detach())


def test_training_one_head_leaves_the_others():
    model = network()
    model.requires_grad_(False)
    model.energy.requires_grad_(True)
    found = model(cluster())
    (found["forces"].square().sum() + found["energy"].sum()).backward()
    assert {
        name.split(".")[0] for name, one in model.named_parameters() if one.grad is not None
    } == {"energy"}
    assert model.energy[0].weight.grad.abs().amax() > 0


def test_positions_may_be_finer_than_weights():
    fine, coarse = cluster(), network(torch.float32).eval()
    found = coarse(fine)
    assert found["forces"].dtype == torch.float32
    close(found["forces"].double(), network().eval()(fine)["forces"], torch.float32)


def test_the_virial_between_molecules():
    model = network().eval()
    numbers, x = molecules(0, 2)
    own = model(graph_of(numbers, x, molecule=[0] * 8))
    assert float(own["intermolecular_virial"]) == 0
    each = model(graph_of(numbers, x, molecule=list(range(8))))
    close(each["intermolecular_virial"][0], each["virial"][0].trace())
    some = model(graph_of(numbers, x, molecule=[0] * 4 + [1] * 4))["intermolecular_virial"]
    assert 0 < abs(float(some)) != abs(float(each["intermolecular_virial"]))


def test_images_of_the_own_molecule_are_other_molecules():
    model = network().eval()
    numbers, x = molecules(0, 1)
    cell = np.diag([6.0, 7.0, 8.0])
    alone = model(graph_of(numbers, x, cell=cell, molecule=[0] * 4))["intermolecular_virial"]
    assert abs(float(alone)) > 0
    # A supercell twice as long, in which the image has a number of its own, tells the same twice.
    both = model(
        graph_of(
            np.tile(numbers, 2),
            np.concatenate([x, x + cell[0]]),
            cell=np.diag([12.0, 7.0, 8.0]),
            molecule=[0] * 4 + [1] * 4,
        )
    )
    close(both["intermolecular_virial"], 2 * alone)


def test_dispersion_is_added_in_inference_only():
    constants = {number: (100.0 * number, 2.0) for number in (1, 3, 6, 8, 9)}
    model, plain = network(dispersion=constants), network()
    for graph in (cluster(), box()):
        for name in ("energy", "forces"):
            close(model.train()(graph)[name], plain.train()(graph)[name])
        without, found = plain.eval()(graph), model.eval()(graph)
        assert (found["energy"] < without["energy"]).all()
        torch.testing.assert_close(
            found["forces"] - without["forces"],
            slope_of_energy(model, graph) - slope_of_energy(plain, graph),
            rtol=1e-5,
            atol=1e-4,
        )
    loaded = network(dispersion=True)
    loaded.load_state_dict(model.state_dict())
    close(loaded.eval()(cluster())["energy"], model.eval()(cluster())["energy"])
    with pytest.raises(ArgumentError, match="lacks Li, F"):
        network(dispersion={1: (1.0, 1.0), 6: (1.0, 1.0), 8: (1.0, 1.0)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"species": torch.tensor([35] * 8)}, "holds Br and the network is made for H, Li, C"),
        ({"positions": torch.zeros(8, 3, dtype=torch.float64)}, "atoms 0 and 1 lie in one place"),
        ({"positions": torch.zeros(8, 3, dtype=torch.long)}, "floating-point"),
        ({"positions": torch.zeros(7, 3)}, "expected 8 rows"),
        ({"edge_shifts": torch.zeros(1, 3)}, r"expected \(2, E\)"),
        (
            {"charge": torch.ones(1), "periodic": torch.tensor([True])},
            "frame 0 is periodic and has the charge 1",
        ),
    ],
)
def test_graphs_that_are_refused(change, said):
    with pytest.raises(ArgumentError, match=said):
        network()({**cluster(), **change})


def test_a_part_that_is_missing_is_named():
    graph = cluster()
    del graph["pairs"]
    with pytest.raises(ArgumentError, match="no 'pairs'; it has species"):
        network()(graph)
