"""One self-contained page from run folders, a gallery of several, or about a comparison."""

from limbeck.report.gallery import write_gallery
from limbeck.report.page import write_report
from limbeck.report.tournament import write_comparison

__all__ = ["write_comparison", "write_gallery", "write_report"]
