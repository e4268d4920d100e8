"""Newton's method on the slack matrix's factor, and what it needs at ties, kinks and large sizes.

`newton.py` is the solver of smooth losses, and of any loss on unit vectors: `stationary.py` and `dual_step.py` its two
equations for each orbit, `equal_counts.py` its active set of orbits in one point, `kinks.py` what polishes a hinge.
`followers.py` is the solver of losses with prototypes or classifiers, `quadrature.py` that of many distinct counts,
`factor_newton.py` the step for a slack matrix of any rank.
"""
