"""Where losses and tensors meet: functions of the factors that solvers minimise."""
