"""What methods are made of: inner quadratic problems, normal equations, BFGS pairs."""
