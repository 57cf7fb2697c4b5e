"""Graphs distilled without training: forests of trees that often occur together, for any network.

Drawn graphs tell their class by motifs. Trees that many graphs of a class have in common become a
set of a few hundred bytes; two kinds of networks learn from it and are tested on whole graphs,
beside networks that learned from as many random graphs. PyG takes the set as its own.
"""

import tempfile
from pathlib import Path

import torch
from torch_geometric.loader import DataLoader

import limbeck
from limbeck.data import motif_graphs
from limbeck.products.graph_origins import real_graph_sets
from limbeck.run import Run


def main() -> None:
    data = motif_graphs(graphs=200)
    print(data)
    networks = ["gin?width=16", "gcn?width=16"]
    judging = {"networks": networks, "repeats": 1, "training": {"steps": 60}}
    folder = Path(tempfile.mkdtemp())
    small = limbeck.Mirage(thresholds=0.3, judging=judging).distill(folder / "run", data=data)
    print(small.summary())

    run = Run(folder / "judged")
    random = real_graph_sets(run, data, small)["random graphs"]
    for one in (small, random):
        found = one.judged(data, run)
        areas = ", ".join(f"{name} {found.mean('auc', name):.3f}" for name in found.figures)
        print(f"{one.name}: {one.bytes()} bytes, AUC of {areas}")

    batch = next(iter(DataLoader(small.as_pyg(), batch_size=4)))
    print(batch)
    # A readout of PyG over roots alone: the mask came through batching.
    roots = batch.root_mask.bool()
    print(torch.bincount(batch.batch[roots]).tolist(), "roots in each of the first graphs")

    # Lower thresholds give more sets, and more bytes.
    for threshold in (0.5, 0.4, 0.2):
        method = limbeck.Mirage(thresholds=threshold, judging=judging)
        made = method.distill(folder / f"at {threshold}", data=data)
        print(f"at {threshold}: {len(made)} forests, {made.bytes()} bytes")


if __name__ == "__main__":
    main()
