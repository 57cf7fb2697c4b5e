"""Force fields as ASE's calculators, and molecular dynamics with them that go on after a stop."""

from limbeck.data.science import science

# First of all, so that its absence is said in words and with the way to install it.
science("ase")

from limbeck.bridges.ase.calculator import ForceFieldCalculator  # noqa: E402
from limbeck.bridges.ase.dynamics import relaxed, simulate  # noqa: E402
from limbeck.bridges.ase.guards import Limits  # noqa: E402
from limbeck.bridges.ase.trajectory import Trajectory  # noqa: E402

__all__ = ["ForceFieldCalculator", "Limits", "Trajectory", "relaxed", "simulate"]
