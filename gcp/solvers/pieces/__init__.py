"""Parts of which methods are made: inner quadratic problems, normal equations, BFGS pairs."""
