"""Runs every benchmark, each in a process of its own, then the report.

python benchmarks/run.py            about an hour on 2 cores; --resume goes on where an interrupted run stopped
python benchmarks/run.py --quick    minutes, into out/benchmarks-quick: shows that the scripts work
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from record import HERE, QUICK_RESULTS, RESULTS, parser, say

# The solvers take longest, so they come last.
SCRIPTS = (
    "newton_vs_solve",
    "cold",
    "scaling",
    "sweeps",
    "thresholds",
    "minibatch",
    "many_counts",
    "gpu",
    "realizability",
    "random_problems",
    "dimensions",
    "free_features",
    "fails_safely",
    "zoo",
    "solvers",
)


def main() -> int:
    described = parser(__doc__)
    described.add_argument("--only", nargs="+", choices=SCRIPTS, default=SCRIPTS, help="which benchmarks")
    options = described.parse_args()
    out: Path = (options.out or (QUICK_RESULTS if options.quick else RESULTS)).resolve()
    arguments = ["--out", str(out)] + ["--quick"] * options.quick + ["--resume"] * options.resume
    failed = []
    for name in options.only:
        say(f"--- {name}")
        if subprocess.run([sys.executable, str(HERE / f"{name}.py"), *arguments], check=False).returncode:
            failed.append(name)
    if subprocess.run([sys.executable, str(HERE / "report.py"), "--out", str(out)], check=False).returncode:
        failed.append("report")
    if failed:
        say(f"failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
