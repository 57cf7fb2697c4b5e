"""GET: the graph equivariant transformer, a force field with charges that know their molecule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from limbeck.checks import is_traced
from limbeck.data.elements import SYMBOLS, species_of
from limbeck.errors import ArgumentError
from limbeck.functional.electrostatics import charge_interaction, coulomb_of_pairs
from limbeck.functional.graph_sums import edge_vectors, forces_on_atoms, sum_to, virial_of_edges
from limbeck.functional.units import DEBYE
from limbeck.networks.get_layers import EdgeScalars, EquivariantAttention, Place, head
from limbeck.networks.get_pairs import Charges, Constants, Dispersion
from limbeck.networks.graph_checks import check_graph, unknown_element

Graph = Mapping[str, Tensor]


class GET(nn.Module):
    r"""Energy, forces, charges, dipole and virial of atoms, by a graph equivariant transformer.

    .. math:: E = \sum_i \epsilon(x_i) + \sum_{i<j} q_i q_j \phi(r_{ij})
        + \sum_i (\chi_i q_i + \eta_i q_i^2)

    Scalars x and vectors of atoms are updated by layers of attention along edges; energies and
    charges are read from x, electronegativities :math:`\chi` and hardnesses :math:`\eta` from the
    first embedding of an element. Charges of a frame are shifted alike to its total charge.

    In clusters charges interact over all pairs with the damped Coulomb energy. In periodic frames
    they do so within `pair_cutoff` by a damped-shifted-force sum, with the same damping where atoms
    are close (`limbeck.functional.shifted_coulomb`); a periodic frame must be neutral.

    Forces are slopes at charges held fixed. What is left out, the force through the charges, is
    0 where charges are at rest; in training it comes out as ``"charge_response"``, to be penalised.
    Edges and pairs beyond their cutoffs add nothing, so lists with a skin give the same numbers.

    Args:
        species: elements it is made for, as symbols in one word or as atomic numbers.
        width: D, scalars of an atom, even.
        heads: of attention, a divisor of `width`.
        layers: at least 2.
        radial: functions of the radial basis.
        cutoff: of edges, in Angstrom.
        pair_cutoff: of electrostatics in periodic frames and of dispersion, in Angstrom.
        charge_bound: no charge goes beyond it before the shift, in e.
        splitting: of the sum in periodic frames, in 1/Angstrom.
        dispersion: C6 in kcal/mol Angstrom^6 and R0 in Angstrom by atomic number, for D3-CSO
            dispersion in evaluation mode only (see `limbeck.networks.get_pairs.dispersed`); True
            leaves room for constants that are loaded, without which nothing is said. False
            where labels hold dispersion already, as those of GFN2-xTB do.

    Raises:
        ArgumentError: an option is outside its range, or constants of an element are missing.

    Example:
        >>> water = {
        ...     "species": torch.tensor([8, 1, 1]),
        ...     "positions": torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]),
        ...     "frame": torch.zeros(3, dtype=torch.long),
        ...     "charge": torch.zeros(1),
        ...     "edges": torch.tensor([[0, 1, 0, 2, 1, 2], [1, 0, 2, 0, 2, 1]]),
        ...     "edge_shifts": torch.zeros(6, 3),
        ...     "pairs": torch.tensor([[0, 0, 1], [1, 2, 2]]),
        ...     "pair_shifts": torch.zeros(3, 3),
        ...     "periodic": torch.tensor([False]),
        ... }
        >>> found = GET("HO", width=8, heads=2, layers=2, radial=4).eval()(water)
        >>> {name: tuple(value.shape) for name, value in found.items()}
        {'energy': (1,), 'forces': (3, 3), 'virial': (1, 3, 3), 'charges': (3,), 'dipole': (1, 3)}

    Source: BAMBOO, arXiv 2404.07181; periodic electrostatics Fennell and Gezelter, J. Chem. Phys.
    124, 234104 (2006).
    """

    elements: Tensor

    def __init__(
        self,
        species: str | Iterable[int],
        *,
        width: int = 64,
        heads: int = 16,
        layers: int = 3,
        radial: int = 32,
        cutoff: float = 5.0,
        pair_cutoff: float = 10.0,
        charge_bound: float = 2.0,
        splitting: float = 0.2,
        dispersion: bool | Constants = False,
    ) -> None:
        super().__init__()
        _check_sizes(width, heads, layers)
        self.species = species_of(species)
        self.cutoff, self.pair_cutoff = float(cutoff), float(pair_cutoff)
        self.splitting = splitting
        self.embedding = nn.Embedding(len(self.species), width)
        self.edges = EdgeScalars(radial, width, self.cutoff)
        between: list[Place] = ["middle"] * (layers - 2)
        self.layers = nn.ModuleList(
            EquivariantAttention(width, heads, place) for place in ("first", *between, "last")
        )
        self.energy, self.charges = head(width), Charges(width, charge_bound)
        self.dispersion: Dispersion | None = None
        if dispersion is not False:
            known = None if dispersion is True else dispersion
            self.dispersion = Dispersion(self.species, known, self.pair_cutoff)
        self.draw_linear()
        places = torch.full((len(SYMBOLS) + 1,), -1)
        places[list(self.species)] = torch.arange(len(self.species))
        self.register_buffer("elements", places, persistent=False)

    def draw_linear(self) -> None:
        """Draw the weights of linear maps anew, as Glorot and Bengio have them, without biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, graph: Graph) -> dict[str, Tensor]:
        """What is said of the frames of a flat graph.

        Outputs carry gradients for parameters in training mode only, never for positions.

        Args:
            graph: ``"species"``, ``"positions"``, ``"frame"`` of atoms, ``"charge"``,
                ``"periodic"`` of frames, ``"edges"``, ``"edge_shifts"``, ``"pairs"``,
                ``"pair_shifts"``; with ``"molecule"`` of atoms also virials between molecules.

        Returns:
            ``"energy"`` ``(N,)`` in kcal/mol, ``"forces"`` ``(A, 3)`` in kcal/mol/Angstrom,
            ``"virial"`` ``(N, 3, 3)`` in kcal/mol, ``"charges"`` ``(A,)`` in e, ``"dipole"``
            ``(N, 3)`` in Debye about the origin; in training mode ``"charge_response"`` ``(A, 3)``,
            the force through the charges; with molecules ``"intermolecular_virial"`` ``(N,)``, the
            sum of f · d over edges and pairs between different molecules, in kcal/mol. Images of
            an atom's own molecule are other molecules, so molecules must lie in one piece (see
            `limbeck.data.neighbours.whole_molecules`).

        Raises:
            ArgumentError: the graph lacks a part, holds an element that the network is not made
                for, two atoms in one place, or a charged periodic frame.
        """
        check_graph(graph)
        learning = self.training and torch.is_grad_enabled()
        # Forces are slopes, so a graph is needed even where the caller keeps none.
        with torch.inference_mode(False), torch.enable_grad():
            found = self._predicted(graph, learning)
        return found if learning else {name: value.detach() for name, value in found.items()}

    def _predicted(self, graph: Graph, learning: bool) -> dict[str, Tensor]:
        """What edges say; what pairs say is put to it."""
        vectors = edge_vectors(graph["positions"], graph["edges"], graph["edge_shifts"])
        vectors = vectors.to(self.embedding.weight.dtype).requires_grad_()
        kind = self._kinds(graph["species"])
        x = self._scalars(kind, graph["edges"], vectors)
        energy = self.energy(x)[:, 0]
        (slope,) = torch.autograd.grad(
            energy.sum(), vectors, create_graph=learning, retain_graph=self.training
        )
        # In inference nothing of the rest is differentiated.
        with torch.set_grad_enabled(self.training):
            return self._with_pairs(graph, kind, x, energy, vectors, slope)

    def _with_pairs(
        self,
        graph: Graph,
        kind: Tensor,
        x: Tensor,
        learned: Tensor,
        vectors: Tensor,
        slope: Tensor,
    ) -> dict[str, Tensor]:
        """Add charges and pairs to energies of atoms ``(A,)`` and their slopes by edges."""
        frame, edges, pairs = graph["frame"], graph["edges"], graph["pairs"]
        atoms, frames, like = kind.shape[0], graph["charge"].shape[0], self.embedding.weight
        periodic = graph["periodic"].index_select(0, frame)
        charges = self.charges(x, frame, graph["charge"])
        spans = edge_vectors(graph["positions"], pairs, graph["pair_shifts"]).to(like.dtype)
        distance = spans.norm(dim=1)
        limits = {"cutoff": self.pair_cutoff, "splitting": self.splitting}
        unit = coulomb_of_pairs(distance, periodic.index_select(0, pairs[0]), **limits)
        electric = charge_interaction(charges, pairs, unit, periodic, **limits)
        chi, eta = self.charges.on_site(like, kind)
        energy = sum_to(learned + electric.energy + (chi + eta * charges) * charges, frame, frames)
        push, ends = electric.push, torch.cat([edges, pairs], 1)
        of_ends = frame.index_select(0, ends[0])
        if self.dispersion is not None and self._disperses(self.dispersion.added):
            dispersed = self.dispersion(kind, pairs, distance)
            push = push + dispersed.force
            energy = energy.index_add(0, of_ends[vectors.shape[0] :], dispersed.energy)

        # What edges learned and what pairs do to each other are forces along lines alike.
        forces = torch.cat([-slope, (push / distance)[:, None] * spans])
        lines = torch.cat([vectors.detach(), spans])
        moments = sum_to(charges[:, None] * graph["positions"].to(like.dtype), frame, frames)
        found = {
            "energy": energy,
            "forces": forces_on_atoms(forces, ends, atoms),
            "virial": virial_of_edges(forces, lines, of_ends, frames),
            "charges": charges,
            "dipole": moments / DEBYE,
        }
        if self.training:
            tension = electric.potential + chi + 2 * eta * charges
            (response,) = torch.autograd.grad(
                charges, vectors, tension, create_graph=slope.requires_grad
            )
            found["charge_response"] = forces_on_atoms(-response, edges, atoms)
        if "molecule" in graph:
            first, second = graph["molecule"][ends]
            # An image of an atom's own molecule is another molecule.
            shifts = torch.cat([graph["edge_shifts"], graph["pair_shifts"]])
            other = (first != second) | (shifts != 0).any(1)
            work = torch.where(other, (forces * lines).sum(1), 0.0)
            found["intermolecular_virial"] = sum_to(work, of_ends, frames)
        return found

    def _disperses(self, asked: bool | None) -> bool:
        """Whether dispersion is added: as asked, else in evaluation mode."""
        return not self.training if asked is None else asked

    def extra_repr(self) -> str:
        symbols = "".join(SYMBOLS[number - 1] for number in self.species)
        return f"{symbols}, cutoff={self.cutoff}, pair_cutoff={self.pair_cutoff}"

    def _kinds(self, species: Tensor) -> Tensor:
        """Places of elements in the embedding, ``(A,)``."""
        kind = self.elements[species]
        if not is_traced(kind) and kind.numel() and int(kind.amin()) < 0:
            raise unknown_element(species[kind < 0], self.species)
        return kind

    def _scalars(self, kind: Tensor, edges: Tensor, vectors: Tensor) -> Tensor:
        """What is known of each atom behind the last layer, ``(A, D)``."""
        measured = self.edges(vectors, edges)
        x, seen = self.embedding(kind), None
        for layer in self.layers:
            x, seen = layer(x, seen, measured)
        return x


def _check_sizes(width: int, heads: int, layers: int) -> None:
    if type(width) is not int or width < 2 or width % 2:
        raise ArgumentError(f"width is {width!r}, expected an even number of at least 2")
    if type(heads) is not int or heads < 1 or width % heads:
        raise ArgumentError(f"heads is {heads!r}, expected a divisor of width, {width}")
    if type(layers) is not int or layers < 2:
        raise ArgumentError(f"layers is {layers!r}, expected at least 2: a first and a last one")
