"""What a method must pass before it is one."""

from limbeck.testing.contract import CHECKS, Contract, check_method

__all__ = ["CHECKS", "Contract", "check_method"]
