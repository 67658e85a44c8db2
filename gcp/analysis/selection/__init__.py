"""Selection of the rank, and of penalties, by what cells that a fit has not seen say."""

from __future__ import annotations

from gcp.analysis.selection.rank_choice import Candidate, RankChoice
from gcp.analysis.selection.rank_search import select_rank

__all__ = ["Candidate", "RankChoice", "select_rank"]
