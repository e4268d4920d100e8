"""Wild problems: how many are certified outside any practical range, and is any answer wrong?

All losses with any options, 2 to 60 distinct counts over 0 to 10 decades, temperature 0.02 to 10; `problems.py` has the
law. The gap of every certified answer is computed again by another route. Aim: none wrong; the rest uncertified, with
the reason.
"""

import sys

from ..solving import measure

if __name__ == "__main__":
    sys.exit(measure("wild", __doc__, count=1000, limit=10.0))
