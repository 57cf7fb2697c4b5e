"""One self-contained page from run folders."""

from limbeck.report.page import write_report

__all__ = ["write_report"]
