"""The loops that every method is written over."""

from limbeck.loops.alternate import Trained, Watch, alternate
from limbeck.loops.averages import ema, swa
from limbeck.loops.fit import fit
from limbeck.loops.optim import Optim

__all__ = ["Optim", "Trained", "Watch", "alternate", "ema", "fit", "swa"]
