"""Does training get to the certified optimum? A small encoder on scikit-learn's digits, one study after the other.

python benchmarks/train                       all studies and the picture; --resume goes on after an interruption
python benchmarks/train --only supcon curve   some of them
python benchmarks/train --quick               seconds, into out/benchmarks-quick: shows that the scripts work
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# `record` and this package are found beside each other; the modules here not by themselves.
sys.path[:] = [str(HERE.parent)] + [path for path in sys.path if Path(path or ".").resolve() != HERE]

from record import parser  # noqa: E402

STUDIES = ("supcon", "curve", "losses", "two_classes", "picture")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=STUDIES, default=STUDIES, help="which studies")
    chosen = options.parse_args()
    from importlib.metadata import version

    from train.encoder import SIZES

    settings = {"encoder": SIZES, "optimiser": "Adam, cosine decay", "scikit-learn": version("scikit-learn")}
    for name in chosen.only:
        importlib.import_module(f"train.{name}").main(chosen, settings)


if __name__ == "__main__":
    sys.exit(main())
