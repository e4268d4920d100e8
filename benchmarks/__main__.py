"""Runs benchmarks, each in a process of its own (quick ones in this one), then writes the report.

python -m benchmarks                        all questions that take minutes; what stands in a folder is replaced
python -m benchmarks practical wild         some of them
python -m benchmarks --quick                into out/benchmarks-quick: shows that the scripts work, measures nothing
python -m benchmarks.practical.measure -h   the options of one
"""

from __future__ import annotations

import argparse
import runpy
import subprocess
import sys
from pathlib import Path

from . import report
from .record import QUICK_RESULTS, RESULTS, say

QUESTIONS = {
    "practical": "practical.measure",
    "estimates": "practical.estimates",
    "wild": "wild.measure",
    "truth": "truth.measure",
    "answers": "truth.answers",
    "zoo": "zoo.measure",
    "profiles": "profiles.measure",
    "kinds": "kinds.measure",
    "free": "kinds.free",
    "million": "million.measure",
    "expectation": "expectation.measure",
    "thresholds": "thresholds.measure",
    "sweeps": "sweeps.measure",
    "descent": "descent.measure",
    "logits": "logits.measure",
    "routes": "logits.routes",
    "realizability": "realizability.measure",
    "dimensions": "dimensions.measure",
    "training": "training",
    "monitor": "monitor.measure",
    "evidence": "evidence.measure",
    "page": "page.measure",
}
# Networks to train, hours of restarts, other libraries to install: on request.
LONG = ("training", "monitor", "evidence", "dimensions", "free", "page")


def run(module: str, out: Path, *, quick: bool) -> int:
    """The exit code of one question."""
    if not quick:
        return subprocess.run([sys.executable, "-m", module, "--out", str(out)], check=False).returncode
    sys.argv = [module, "--quick", "--out", str(out)]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("questions", nargs="*", metavar="QUESTION", help=f"of {', '.join(QUESTIONS)}")
    options.add_argument("--quick", action="store_true", help="tiny sizes")
    options.add_argument("--out", type=Path, help="folder of the results")
    given = options.parse_args()
    unknown = [name for name in given.questions if name not in QUESTIONS]
    if unknown:
        options.error(f"no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    out = (given.out or (QUICK_RESULTS if given.quick else RESULTS)).resolve()
    failed = []
    for name in given.questions or [name for name in QUESTIONS if name not in LONG]:
        say(f"--- {name}")
        if run(f"benchmarks.{QUESTIONS[name]}", out, quick=given.quick):
            failed.append(name)
    report.write(out)
    if failed:
        say(f"failed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
