"""The losses: builders that return a convex function of the Gram matrix, and nothing of solvers."""
