"""One self-contained page from run folders, or about a comparison."""

from limbeck.report.page import write_report
from limbeck.report.tournament import write_comparison

__all__ = ["write_comparison", "write_report"]
