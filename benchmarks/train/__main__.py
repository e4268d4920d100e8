"""Does training get to the certified optimum? A small encoder on scikit-learn's digits, one study after the other.

python benchmarks/train                       all studies and the picture; --resume goes on after an interruption
python benchmarks/train --only supcon curve   some of them
python benchmarks/train --quick               a minute, into out/benchmarks-quick: shows that the scripts work
python benchmarks/train --large               wider, longer, more seeds, into out/benchmarks-large; on a GPU if there is
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# `record` and this package are found beside each other; the modules here not by themselves.
sys.path[:] = [str(HERE.parent)] + [path for path in sys.path if Path(path or ".").resolve() != HERE]

from record import parser  # noqa: E402

STUDIES = (
    "supcon",
    "fresh",
    "curve",
    "losses",
    "batches",
    "widths",
    "two_classes",
    "escape",
    "picture",
)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--only", nargs="+", choices=STUDIES, default=STUDIES, help="which studies")
    # The modules here need `record`, which is found only from above on.
    from train.scale import add_options, folder, scale_of

    add_options(options)
    chosen = options.parse_args()
    chosen.out = folder(chosen)
    from importlib.metadata import version

    import jax

    from train.encoder import SIZES

    sizes = scale_of(chosen).sizes(SIZES)
    settings = {"encoder": sizes, "optimiser": "Adam, cosine decay", "scikit-learn": version("scikit-learn")}
    if jax.default_backend() != "cpu":
        settings["device"] = jax.devices()[0].device_kind
    # A GPU may multiply float32 matrices in ten bits, which is less than what is measured here.
    with jax.default_matmul_precision("highest"):
        for name in chosen.only:
            importlib.import_module(f"train.{name}").main(chosen, settings)


if __name__ == "__main__":
    sys.exit(main())
