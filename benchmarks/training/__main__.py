"""Does training get to the certified optimum? A small encoder on scikit-learn's digits, one study after the other.

python -m benchmarks.training                      all studies; --resume goes on after an interruption
python -m benchmarks.training --only supcon curve  some of them
python -m benchmarks.training --quick              a minute: shows that the scripts work
"""

from __future__ import annotations

import importlib
import sys

from ..record import parser

STUDIES = ("supcon", "curve", "cross_entropy")


def main() -> None:
    described = parser(__doc__)
    described.add_argument("--only", nargs="+", choices=STUDIES, default=STUDIES, help="which studies")
    options = described.parse_args()
    import jax

    from .encoder import SIZES

    settings = {"encoder": SIZES, "optimiser": "Adam, cosine decay"}
    # A GPU may multiply float32 matrices in ten bits, which is less than what is measured here.
    with jax.default_matmul_precision("highest"):
        for name in options.only:
            importlib.import_module(f"benchmarks.training.{name}").main(options, settings)


if __name__ == "__main__":
    sys.exit(main())
