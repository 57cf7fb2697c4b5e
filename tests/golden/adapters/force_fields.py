"""Radial functions, pair potentials, losses and the whole network of a force field."""

from __future__ import annotations

import numpy as np
import torch

from limbeck.functional import (
    alignment_pressure_loss,
    bulk_distillation_loss,
    cosine_cutoff,
    cso_dispersion,
    damped_coulomb,
    ensemble_target,
    exp_normal,
    exp_normal_basis,
    force_field_errors,
    force_field_terms,
    virial_pressure,
)
from limbeck.networks.get import GET

from ..harness import adapter

STEM = "bamboo"


@adapter(STEM, "cosine_cutoff")
def smooth(inputs, params):
    return {"value": cosine_cutoff(inputs["distance"], cutoff=params["rc"])}


@adapter(STEM, "expnormal_rbf")
def basis(inputs, params):
    start = exp_normal_basis(params["num_rbf"], cutoff=params["rc"])
    means, betas = (one.double() for one in start)
    return {"value": exp_normal(inputs["distance"], means, betas, cutoff=params["rc"])}


@adapter(STEM, "damped_coulomb")
def coulomb(inputs, params):
    distance = inputs["displacement"].norm(dim=1)
    first, second = inputs["pairs"]
    product = inputs["charge"][first] * inputs["charge"][second]
    found = damped_coulomb(
        distance,
        sharpness=params["beta"],
        radius=params["r0"],
        splitting=params["g_ewald"],
    )
    # Their erfc is a polynomial, off by up to 2e-7; ours is that of torch.
    off = params["coulomb_constant"] * polynomial_error(params["g_ewald"], distance) / distance
    energy = product * (found.energy + off)
    push = product * (found.force + off / distance)
    force = (push / distance)[:, None] * inputs["displacement"]
    return {"pair_energy": energy, "pair_force": force, "total_energy": energy.sum() / 2}


def polynomial_error(splitting, distance):
    """How far formula 7.1.26 of Abramowitz and Stegun is off erfc."""
    if splitting is None:
        return torch.zeros_like(distance)
    scaled = splitting * distance
    t = 1 / (1 + 0.3275911 * scaled)
    factors = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    series = sum(factor * t ** (power + 1) for power, factor in enumerate(factors))
    return series * torch.exp(-scaled.square()) - torch.erfc(scaled)


@adapter(STEM, "d3cso_dispersion")
def dispersion(inputs, params):
    distance = inputs["displacement"].norm(dim=1)
    first, second = inputs["pairs"]
    c6 = (inputs["c6"][first] * inputs["c6"][second]).sqrt()
    radius = (inputs["r0"][first] + inputs["r0"][second]) / 2
    found = cso_dispersion(distance, c6, radius, cutoff=params["cutoff"])
    force = (found.force / distance)[:, None] * inputs["displacement"]
    return {"pair_energy": found.energy, "pair_force": force}


@adapter(STEM, "force_field_loss")
def labelled(inputs, params):
    names = {"charge": "charges", "qeq_force": "charge_response"}
    student, target = (
        {names.get(name, name): torch.as_tensor(one).double() for name, one in side.items()}
        for side in (inputs["pred"], inputs["label"])
    )
    weights = {names.get(name, name): one for name, one in params["weights"].items()}
    terms = force_field_terms(
        student, target, weights=weights, response_weight=params["qeq_weight"]
    )
    theirs = {ours: name for name, ours in names.items()}
    errors = {
        theirs.get(name, name): one for name, one in force_field_errors(student, target).items()
    }
    return {
        "mse": {name: one.square().mean() for name, one in errors.items()},
        "mae": {name: one.abs().mean() for name, one in errors.items()},
        "qeq_penalty": terms["charge_response"] / params["qeq_weight"],
        "total": sum(terms.values()),
    }


@adapter(STEM, "ensemble_force_target")
def ensemble(inputs, params):
    mean, deviation = ensemble_target(inputs["member_forces"])
    return {"mean": mean, "std": deviation}


@adapter(STEM, "bulk_distillation_loss")
def bulk(inputs, params):
    student, teacher = (
        {
            "energy": torch.tensor([inputs[f"{side}_energy"]], dtype=torch.float64),
            "forces": inputs[f"{side}_forces"],
            "virial": inputs[f"{side}_virial"][None],
        }
        for side in ("pred", "target")
    )
    weights = {"energy": params["energy"], "forces": params["force"], "virial": params["virial"]}
    counts = torch.tensor([params["natoms"]])
    return {"loss": bulk_distillation_loss(student, teacher, counts, weights=weights)}


@adapter(STEM, "alignment_pressure_loss")
def alignment(inputs, params):
    after, before, volume, wanted = (
        torch.tensor([inputs[name]], dtype=torch.float64)
        for name in (
            "intermolecular_virial",
            "intermolecular_virial_before",
            "volume",
            "delta_pressure",
        )
    )
    return {
        "pressure_change": virial_pressure(after - before, volume)[0],
        "loss": alignment_pressure_loss(after, before, wanted, volume=volume),
    }


# Where the parts of the authors' network are in ours; theirs have one layer of each kind by name.
PARTS = {
    "dis_rbf": "edges",
    "rbf_proj.0": "edges.linear",
    "charge_mlp": "charges.head",
    "energy_mlp": "energy",
    "pred_electronegativity_mlp": "charges.electronegativity",
    "pred_electronegativity_hardness_mlp": "charges.hardness",
}
LAYER = {"layer_norm": "norm", "qkv_proj": "qkv", "output_proj": "output", "vec_proj": "mix"}


def place(name, layers):
    """Where a weight of theirs is in a network of ours."""
    for theirs, ours in PARTS.items():
        if name.startswith(theirs + "."):
            return ours + name.removeprefix(theirs)
    first, _, rest = name.partition(".")
    number = {"first_attn": 0, "last_attn": layers - 1}.get(first)
    if number is None:
        inside, _, rest = rest.partition(".")
        number = int(inside) + 1
    part, _, leaf = rest.partition(".")
    return f"layers.{number}.{LAYER[part]}.{leaf}"


def laid_out(name, tensor, params):
    """A weight of theirs, head by head, as ours: the numbers of all heads side by side."""
    width, heads, last = params["dim"], params["num_heads"], params["num_layers"] - 1
    order = torch.arange(width).reshape(heads, -1).T.flatten()
    part = name.rpartition(".")[0].rpartition(".")[2]
    if part == "linear" and name.startswith("edges."):
        return tensor[order]
    if part == "qkv":  # inside a head q, then k, then v
        split = tensor.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(1, 2)
        return split[:, order].flatten(0, 1)
    if part in ("output", "mix"):
        blocks = [*tensor.split(width)]
        middle = not name.startswith(("layers.0.", f"layers.{last}."))
        gate = {"output": 0, "mix": 2}[part]  # these two blocks meet in vectors of all heads
        if middle:
            blocks[gate] = blocks[gate][order]
        tensor = torch.cat(blocks)
        return tensor[:, order] if tensor.ndim == 2 else tensor
    return tensor


def loaded(weights, params):
    rows = weights["atom_embedding"]
    species = sorted(map(int, rows))
    network = GET(
        species,
        width=params["dim"],
        heads=params["num_heads"],
        layers=params["num_layers"],
        radial=params["num_rbf"],
        cutoff=params["rcut"],
        charge_bound=params["charge_bound"],
    ).double()
    state = {
        "embedding.weight": torch.tensor(np.asarray([rows[str(number)] for number in species]))
    }
    for name, value in weights.items():
        if name == "atom_embedding":
            continue
        tensor = torch.as_tensor(np.asarray(value)).double()
        tensor = laid_out(place(name, params["num_layers"]), tensor, params)
        state[place(name, params["num_layers"])] = tensor
    network.load_state_dict(state)
    return network


@adapter(STEM, "get_forward")
def whole(inputs, params):
    first, second = inputs["all_pairs"]
    pairs = inputs["all_pairs"][:, first < second]
    frames = len(inputs["total_charge"])
    graph = {
        "species": inputs["atom_types"],
        "positions": inputs["positions"],
        "frame": inputs["cluster_id"],
        "charge": torch.as_tensor(inputs["total_charge"]).double(),
        "edges": inputs["edges"],
        "edge_shifts": torch.zeros(inputs["edges"].shape[1], 3, dtype=torch.float64),
        "pairs": pairs,
        "pair_shifts": torch.zeros(pairs.shape[1], 3, dtype=torch.float64),
        "periodic": torch.zeros(frames, dtype=torch.bool),
        "cell": torch.zeros(frames, 3, 3, dtype=torch.float64),
    }
    found = loaded(inputs["weights"], params).train()(graph)
    return found | {"charge": found["charges"], "qeq_residual_force": found["charge_response"]}
