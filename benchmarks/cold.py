"""A cold command-line solve as a process of its own: wall seconds and peak resident memory.

Cold means a new process (the interpreter, the imports, the first call of everything); the files are in the disk cache
after the first run, which is kept apart. Peak memory is ru_maxrss from wait4. A child inherits its parent's peak
across exec, so this script imports nothing but the standard library until it is done measuring.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time

from record import ROOT, Record, parser, say, spread

AIM = {"seconds": 5.0, "gib": 1.0}


def run_once(arguments: list[str]) -> dict:
    """One process: seconds, peak MiB, exit code and what it proved."""
    command = [sys.executable, "-c", "from geomsolve.cli import main; main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        redirect = [(os.POSIX_SPAWN_DUP2, out.fileno(), 1), (os.POSIX_SPAWN_DUP2, err.fileno(), 2)]
        start = time.perf_counter()
        child = os.posix_spawn(sys.executable, command, environment, file_actions=redirect)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - start
        out.seek(0)
        err.seek(0)
        text, complaint = out.read().decode(), err.read().decode().strip().splitlines()
    code = os.waitstatus_to_exitcode(status)
    try:
        answer = json.loads(text)
    except ValueError:
        answer = {}
    kept = ("quality", "value", "gap", "cosine_residual", "classes", "solver", "seconds")
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        # macOS counts bytes, Linux KiB.
        "peak_mib": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        "exit_code": code,
        "failure": complaint[-1] if code and complaint else None,
        "answer": {name: answer.get(name) for name in kept},
    }


def main() -> None:
    options = parser(__doc__).parse_args()
    profiles, runs = ("inaturalist2018", "imagenet_lt", "lvis_v1_instance_count"), 7
    if options.quick:
        profiles, runs = ("isic2019",), 1
    settings = {"profiles": profiles, "runs": runs, "temperature": 0.1, "objective": "supcon", "aim": AIM}
    record = Record("cold", options, key=("profile",), settings=settings)
    for profile in profiles:
        if record.has(profile=profile):
            continue
        arguments = ["solve", "--counts", profile, "--objective", "supcon", "--temperature", "0.1", "--json", "-"]
        first = run_once(arguments)
        rest = [run_once(arguments) for _ in range(runs)]
        seconds, peak = spread([r["seconds"] for r in rest]), spread([r["peak_mib"] for r in rest])
        say(f"cold {profile}: {seconds['median']:.2f} s, {peak['median']:.0f} MiB, exit {rest[-1]['exit_code']}")
        record.add(
            profile=profile,
            arguments=" ".join(arguments),
            first_seconds=first["seconds"],
            seconds=seconds,
            peak_mib=peak,
            exit_codes=sorted({r["exit_code"] for r in rest}),
            runs=rest,
        )
    good = [row for row in record.rows if row["exit_codes"] == [0]]
    within = [r for r in good if r["seconds"]["median"] <= AIM["seconds"] and r["peak_mib"]["max"] <= 1024 * AIM["gib"]]
    record.finish(aim="5 s, 1 GiB", within_aim=len(within), rows=len(record.rows))


if __name__ == "__main__":
    sys.exit(main())
