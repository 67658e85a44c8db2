"""What an objective offers to solvers beside its value and gradient: one file per kind of method."""
