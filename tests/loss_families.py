"""One small problem a family of losses, for tests that hold for all."""

import geomsolve as gs

COUNTS = [500, 300, 300, 20, 20, 4]
OBJECTIVES = {
    "supcon": lambda: gs.SupCon(COUNTS, temperature=0.3, views=2),
    "mini-batches": lambda: gs.SupCon(COUNTS, temperature=0.3, batch=64),
    "mini-batches, two views": lambda: gs.SupCon(COUNTS, temperature=0.3, batch=64, views=2),
    "drawn negatives": lambda: gs.GCL(COUNTS, temperature=0.2, negatives=16, sampling="unsupervised"),
    "one negative": lambda: gs.GCL(COUNTS, temperature=0.3, negatives=1),
    "logistic": lambda: gs.GCL(COUNTS, temperature=0.3, loss="logistic"),
    "classifier": lambda: gs.LogitCompensated(COUNTS, scale=5.0),
    "equilibrium": lambda: gs.ECL(COUNTS, temperature=0.4, scale=6.0, tied=True),
    "examples": lambda: gs.SupCL([4, 3, 2], temperature=0.5, alpha=0.4),
}
