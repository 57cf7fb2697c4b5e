"""Densities by dynamics at constant pressure."""

import math

import numpy as np
import pytest
from torch import nn

from limbeck.bridges import ase
from limbeck.data.names import resolve
from limbeck.loops.force_densities import Densities, densities_of
from limbeck.run import Run
from limbeck.testing.forces import teachers


class Path:
    """What a simulation gives."""

    def __init__(self, densities, stopped=None):
        self.densities, self.stopped = np.array(densities), stopped


@pytest.mark.parametrize(
    ("path", "density"),
    [
        (Path([1.0, 9.0, 1.1, 1.2, 1.3]), 1.2),
        (Path([1.0, 1.0, 1.1, 0.6, 0.4]), math.nan),
        (Path([1.0, 1.0, 1.1, 1.2, 1.3], "after step 3: heat"), math.nan),
    ],
)
def test_a_box_that_broke_off_or_became_a_gas_has_no_density(path, density, tmp_path, monkeypatch):
    seen = {}

    def simulate(atoms, calculator, **options):
        seen.update(options)
        return path

    monkeypatch.setattr(ase, "simulate", simulate)
    monkeypatch.setattr(
        ase, "settled", lambda atoms, calculator, **options: seen.update(settled=options)
    )
    box = resolve("molecules?frames=30&box=4").liquid
    how = Densities(picoseconds=0.01, settling=0.5, temperature=310.0)
    network = teachers(resolve("molecules?frames=30&box=4"))[0]
    assert isinstance(network, nn.Module)
    (found,) = densities_of(Run(tmp_path), "some", [(network, box, 7.0)], how)
    assert found == pytest.approx(density, nan_ok=True)
    assert (seen["ensemble"], seen["pressure"], seen["steps"]) == ("npt", 7.0, 10)
    assert seen["settled"]["picoseconds"] == 0.5
    assert seen["settled"]["temperature"] == 310.0
