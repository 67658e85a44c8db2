"""Checks of losses, penalties, solvers and data kinds, of the package's own and of yours.

Each raises AssertionError with a sentence that says which property fails and where. The truths are closed forms,
finite differences, sums by einsum and other solvers, never the code under test.
"""

from gcp.losses.registry import example_losses
from gcp.testing.loss_checks import check_loss
from gcp.testing.penalty_checks import check_penalty
from gcp.testing.solver_checks import check_solver
from gcp.testing.tensor_checks import check_tensor

__all__ = ["check_loss", "check_penalty", "check_solver", "check_tensor", "example_losses"]
