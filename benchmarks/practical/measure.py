"""Practical problems: how many are certified, by what, and why not the rest.

Eleven losses with the hyperparameters their papers use, 2 to 300 classes, imbalance 1 to 10⁴, temperature 0.05 to 1;
`problems.py` has the law. A problem fails whatever the reason: not certified, or not within its processor seconds. The
gap of every certified answer is computed again by another route. Aim: 99.9 % certified, none wrong.
"""

import sys

from ..solving import measure

if __name__ == "__main__":
    sys.exit(measure("practical", __doc__, count=3000, limit=10.0))
