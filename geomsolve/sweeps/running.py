"""`sweep`: solves every point of a grid, on any executor, into a journal that survives a kill at any moment."""

import itertools
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from .. import __version__
from ..arrays import Progress
from ..certificates.certificate import check_tol
from ..errors import BackendError, ProblemError
from ..objectives.rows.full_batch import check_whole
from ..results import Result
from ..text import attributes, entry
from .chains import solve_chain, start_after
from .executors import Here, cores, dask_cluster, spawned
from .journals import Journal, writing
from .specs import Spec, read_spec

# Neighbouring points that are solved one from the other. Fixed, so that what a point starts from, and with it the last
# digits of its answer, depends neither on the number of workers nor on kills.
_CHAIN = 16
# A worker comes back after so many seconds even in the middle of a chain: that much work is lost by a kill.
_SECONDS = 0.2
# Chains handed out at a time: enough for some hundred workers, few enough to be cheap to cancel.
_WINDOW = 256

# Points still to be solved, one after the other, and counts and cosines of the answer before the first.
_Segment = tuple[list[dict[str, Any]], tuple[str, bytes] | None]


class SweepResult(Result):
    """What a sweep came to; the answers themselves are in its store, see `load_sweep`.

    Attributes:
        store: the journal.
        points: points of the grid; each is certified, uncertified or failed.
        certified: proved optimal.
        uncertified: answered without proof.
        failed: without an answer; `reasons` and the journal say why.
        solved: problems that this run solved. The other points had their answers, or share one.
        seconds: wall time of this run.
        reasons: the commonest reasons for which points are not certified, and how many points each has.
    """

    def __init__(self, store: Path, points: int, outcomes: list[tuple[str, str, int]], solved: int, seconds: float):
        self.store, self.points, self.solved, self.seconds = store, points, solved, seconds
        tally = Counter[str]()
        for quality, _, many in outcomes:
            tally[quality] += many
        self.certified, self.uncertified, self.failed = (tally[one] for one in ("certified", "uncertified", "failed"))
        self.reasons = tuple((error, many) for quality, error, many in outcomes if quality != "certified")[:5]

    @property
    def ok(self) -> bool:
        """Whether every point is certified."""
        return self.certified == self.points

    @property
    def summary(self) -> str:
        """How many points there are, and how many are certified."""
        return f"{self.points} points in {self.store}, {self.certified} certified, {self.failed} failed"

    def to_dict(self) -> dict[str, Any]:
        """The outcome as a dictionary."""
        return {
            "store": str(self.store),
            **attributes(self, "points", "certified", "uncertified", "failed", "solved", "seconds"),
            "reasons": [{"error": reason, "points": points} for reason, points in self.reasons],
            "version": __version__,
        }

    def lines(self) -> list[str]:
        """The outcome in a few aligned lines."""
        rate = f", {self.solved / self.seconds:.0f}/s" if self.solved else ""
        many = {"certified": self.certified, "not certified": self.uncertified, "failed": self.failed}
        lines = [f"{self.points} points, answers in {self.store}"]
        lines += [entry(name, str(points)) for name, points in many.items()]
        lines.append(entry("solved in this run", f"{self.solved} problems in {self.seconds:.1f} s{rate}"))
        if self.solved < self.points:
            lines.append(entry("", "the other points had an answer, or are the same problem as another point"))
        return lines + [f"  {points} x {reason:.200}" for reason, points in self.reasons]


def sweep(
    spec: str | Path | Mapping[str, Any],
    store: str | Path,
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    dask: str | None = None,
    progress: Progress | None = None,
    tol: float = 1e-9,
) -> SweepResult:
    """Solves every point of a grid, and keeps the answers in a journal.

    Answers are committed as they come, under a hash of the problem. Whatever ends the process, the next sweep on the
    store goes on from there, and solves no problem that has an answer. A point that fails is recorded with its reason.

    Args:
        spec: a TOML file, or a dictionary of its tables [objective], [counts] and [grid]; see the page on sweeps.
        store: the journal, a sqlite file; made if it is not there. One sweep at a time may write to it.
        executor: any `concurrent.futures.Executor`: threads, loky, dask's, MPI's. It is not shut down. None: spawned
            processes (so a script needs `if __name__ == "__main__":`).
        workers: how many processes to spawn; None: one a core; 1: everything in this process.
        dask: instead, the address of a dask scheduler.
        progress: called with a line of text as answers come in.
        tol: the relative gap to certify.

    Raises:
        ProblemError: a bad spec (everything that is wrong with it at once) or store, another sweep on the store, a
            dask scheduler that does not answer.
        BackendError: workers that died. What was answered by then is kept.

    Cost: per problem that of `solve`, and about 0.2 ms for the journal and the transport.
    """
    clock = time.perf_counter()
    tol = check_tol(tol)
    if sum(choice is not None for choice in (executor, workers, dask)) > 1:
        raise ProblemError("workers: give one of executor, workers and dask")
    if workers is not None:
        check_whole("workers", workers, least=1)
    read = read_spec(spec)
    path = Path(store)
    with writing(path) as journal:
        chains = _enter(read, tol, journal)
        segments = deque(_segments(chains, journal))
        left, total = sum(len(points) for points, _ in segments), sum(map(len, chains))
        if segments:
            many = min(workers or cores(), len(segments))
            here = executor is not None or (many == 1 and dask is None)
            elsewhere = spawned(many) if dask is None else dask_cluster(dask)
            with nullcontext(executor or Here()) if here else elsewhere as pool:
                _solve(segments, pool, journal, tol, total, progress)
        return SweepResult(path, read.size, journal.outcomes(), left, time.perf_counter() - clock)


def _enter(spec: Spec, tol: float, journal: Journal) -> list[list[dict[str, Any]]]:
    """The sweep entered into the journal; its problems, each once, in chains of neighbours."""
    indices = list(itertools.product(*map(range, spec.shape)))
    tasks = [spec.point(index, tol) for index in indices]
    journal.begin((task["key"], spec.at(index)) for task, index in zip(tasks, indices, strict=True))
    listed = list({task["key"]: task for task in tasks}.values())
    return [listed[i : i + _CHAIN] for i in range(0, len(listed), _CHAIN)]


def _segments(chains: list[list[dict[str, Any]]], journal: Journal) -> Iterator[_Segment]:
    """What is still without an answer: runs of neighbours inside a chain, each with the answer before it."""
    answered = journal.answered()
    for chain in chains:
        start = None
        for known, group in itertools.groupby(chain, key=lambda point: point["key"] in answered):
            points = list(group)
            if known:
                start = journal.geometry(points[-1]["key"])
            else:
                yield points, start


def _solve(
    segments: deque[_Segment], pool: Executor, journal: Journal, tol: float, total: int, progress: Progress | None
) -> None:
    """Hands out segments until every one is answered, and commits what comes back."""
    window = 1 if isinstance(pool, Here) else _WINDOW
    waiting: dict[Future[Any], list[dict[str, Any]]] = {}
    # What the executor did; what is wrong with a problem is its answer.
    lost: list[Exception] = []
    clock, failed = time.perf_counter(), 0
    done = before = total - sum(len(points) for points, _ in segments)

    def collect() -> None:
        """Commits the answers that have come in."""
        nonlocal done, failed
        for future in [future for future in waiting if future.done()]:
            points = waiting.pop(future)
            try:
                rows = future.result()
            except Exception as error:
                lost.append(error)
                continue
            journal.add(rows)
            if left := points[len(rows) :]:
                segments.appendleft((left, start_after(points[len(rows) - 1], rows[-1])))
            done += len(rows)
            failed += sum(row["quality"] != "certified" for row in rows)
        if progress is not None and not lost:
            rate = (done - before) / (time.perf_counter() - clock)
            to_go = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
            worse = f", {failed} not certified" if failed else ""
            bar = "█" * (20 * done // total)
            progress(f"{bar:░<20} {done} of {total} problems, {rate:.0f}/s{to_go}{worse}")

    try:
        while (segments or waiting) and not lost:
            while segments and len(waiting) < window and not lost:
                points, start = segments.popleft()
                task = {"points": points, "tol": tol, "seconds": _SECONDS, "start": start}
                try:
                    waiting[pool.submit(solve_chain, task)] = points
                except Exception as error:
                    lost.append(error)
            wait(waiting, timeout=1.0, return_when=FIRST_COMPLETED)
            collect()
    finally:
        waiting = {future: points for future, points in waiting.items() if not future.cancel()}
        collect()  # what has come in by now is not thrown away
    if lost:
        hint = "" if done > before else ' (a script that spawns processes needs `if __name__ == "__main__":`)'
        raise BackendError(
            f"executor: the workers are lost ({type(lost[0]).__name__}: {lost[0]}); {done} of {total} "
            f"answers are in {journal.path}, the same sweep again goes on from there{hint}"
        ) from lost[0]
