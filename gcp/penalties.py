"""Penalties on factors, for `fit_gcp(penalties=[...])`, and the class from which to derive your own."""

from gcp.objectives.penalties.base import FactorQuadratic as FactorQuadratic
from gcp.objectives.penalties.base import Penalty as Penalty
from gcp.objectives.penalties.base import RowPart as RowPart
from gcp.objectives.penalties.dirichlet import DirichletPrior as DirichletPrior
from gcp.objectives.penalties.graph import Graph as Graph
from gcp.objectives.penalties.lasso import Lasso as Lasso
from gcp.objectives.penalties.near import Near as Near
from gcp.objectives.penalties.ridge import Ridge as Ridge
from gcp.objectives.penalties.smooth import Smooth as Smooth
from gcp.objectives.penalties.weight_lasso import WeightLasso as WeightLasso

__all__ = [
    "DirichletPrior",
    "FactorQuadratic",
    "Graph",
    "Lasso",
    "Near",
    "Penalty",
    "Ridge",
    "RowPart",
    "Smooth",
    "WeightLasso",
]
