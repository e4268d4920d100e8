"""Who solves a sweep: this process, spawned ones, or the workers of a dask cluster."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from ..errors import ProblemError
from ..lazy import package

# Seconds until a dask scheduler that does not answer is given up, and one that has no workers.
_PATIENCE = 8.0
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Here(Executor):
    """Runs every task at once, in this process."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that is done already."""
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def cores() -> int:
    """The cores this process may use."""
    # There is no such thing on macOS and Windows.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def spawned(workers: int) -> Iterator[Executor]:
    """A pool of fresh processes, one BLAS thread each, that end with this one, however it ends."""
    context = multiprocessing.get_context("spawn")
    # Nobody ever writes to this pipe: reading from it ends when its other end is closed, by us or by our death.
    # Without it the workers of a killed process would wait for ever.
    reader, writer = context.Pipe(duplex=False)
    # Processes started meanwhile have one BLAS thread, unless the user wants otherwise: there is one a core already.
    ours = [name for name in _THREADS if name not in os.environ]
    os.environ.update(dict.fromkeys(ours, "1"))
    with reader, writer:
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_prepare, initargs=(reader,))
        try:
            yield pool
        except BaseException:
            writer.close()  # what they work on is not wanted any more
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            for name in ours:
                os.environ.pop(name, None)


def _prepare(reader: Connection) -> None:
    # Ctrl-C reaches the whole process group; what becomes of the sweep is decided by its parent.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(reader,), daemon=True).start()


def _end_with(reader: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        reader.recv_bytes()
    os._exit(1)


@contextmanager
def dask_cluster(address: str) -> Iterator[Executor]:
    """The workers of the dask scheduler at that address.

    Raises:
        BackendError: dask is not installed.
        ProblemError: nobody answers there, or nobody works there.
    """
    distributed = package("distributed", "dask: is not installed; pip install '.[dask]'")
    try:
        client = distributed.Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise ProblemError(
            f"dask: no scheduler answers at {address!r:.80} ({type(error).__name__}); write the address that "
            "`dask scheduler` prints, such as tcp://127.0.0.1:8786"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise ProblemError(
                f"dask: the scheduler at {address} has no workers; start some with `dask worker {address}`"
            ) from None
        yield client.get_executor()
