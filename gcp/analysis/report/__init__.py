"""A page about a fitted model: `write_report`."""

from __future__ import annotations

from gcp.analysis.report.write import write_report

__all__ = ["write_report"]
