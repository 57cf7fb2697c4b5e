"""Units of atomic systems: kcal/mol, Angstrom, elementary charges, Debye and atmospheres."""

COULOMB = 332.06349451357806
"""Energy of two unit charges at a distance of 1 Angstrom, in kcal/mol."""

EV = 23.0605
"""One eV in kcal/mol."""

DEBYE = 0.20819427
"""One Debye in elementary charges times Angstrom."""

ATMOSPHERES = 68568.46780162843
"""One kcal/mol in each cubic Angstrom as a pressure, in atm."""

DENSE = 1.66053907
"""One atomic unit of mass in each cubic Angstrom, in g/cm3."""
