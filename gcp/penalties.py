"""Penalties on factors, for `fit_gcp(penalties=[...])`, and the class from which to derive your own."""

from gcp.objectives.penalties.base import FactorQuadratic as FactorQuadratic
from gcp.objectives.penalties.base import Penalty as Penalty
from gcp.objectives.penalties.base import RowPart as RowPart
from gcp.objectives.penalties.dirichlet import DirichletPrior as DirichletPrior
from gcp.objectives.penalties.ridge import Ridge as Ridge
from gcp.objectives.penalties.weight_lasso import WeightLasso as WeightLasso

__all__ = ["DirichletPrior", "FactorQuadratic", "Penalty", "Ridge", "RowPart", "WeightLasso"]
