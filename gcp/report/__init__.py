"""One page about a fitted model: `write_report`."""

from __future__ import annotations

from gcp.report.write import write_report

__all__ = ["write_report"]
