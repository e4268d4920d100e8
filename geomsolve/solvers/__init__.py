"""The solvers: frozen objects that turn an objective into a Gram matrix, and prove nothing."""
