"""Where JAX computes: 64 bits, the device asked for, and restarts shared out over several; nothing global changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import BackendError, ProblemError

# How the message of whatever was to run on a GPU begins where there is none.
NO_GPU = "no GPU that JAX can use, ran on the CPU"


@dataclass(frozen=True)
class Place:
    """The devices of one kind.

    Attributes:
        devices: JAX's.
        notice: a line for people where this is not what was asked for, "" otherwise.
    """

    devices: tuple[Any, ...]
    notice: str = ""

    @property
    def name(self) -> str:
        """What JAX calls the first device: "cpu", or the model of the GPU."""
        return str(self.devices[0].device_kind)

    def one(self, tree: Any) -> Any:
        """Arrays on the first device."""
        import jax

        return jax.device_put(tree, self.devices[0])

    def shared_out(self, points: Any, tree: Any) -> tuple[Any, Any]:
        """(restarts, ...) points spread over the devices by restarts, and arrays that each of them has whole.

        Compiled code that treats restarts one by one then runs on all devices. Where restarts do not divide evenly,
        the first of them are repeated; drop what is beyond their number.
        """
        import jax
        import numpy as np
        from jax.sharding import AxisType, NamedSharding, PartitionSpec

        count = min(len(self.devices), len(points))
        if count == 1:
            return self.one(points), self.one(tree)
        extra = -len(points) % count
        if extra:
            points = np.concatenate([points, points[:extra]])
        mesh = jax.make_mesh((count,), ("restarts",), (AxisType.Auto,), devices=self.devices[:count])
        spread, whole = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in (("restarts",), ()))
        return jax.device_put(points, spread), jax.device_put(tree, whole)


def check_device(device: str | None) -> None:
    """Nothing, or a ProblemError unless the device is one that can be asked for."""
    if device not in (None, "cpu", "gpu"):
        raise ProblemError(f'device: must be "cpu", "gpu" or None (JAX\'s default); got {device!r:.40}')


@contextmanager
def computing(device: str | None) -> Iterator[Place]:
    """The devices to compute on, with JAX in 64 bits; on the CPU, with a notice, where a GPU is asked for and none is.

    Raises:
        ProblemError: another device than "cpu", "gpu" or None, JAX's default.
        BackendError: JAX or optax is not installed, or the device's memory does not suffice.
    """
    check_device(device)
    try:
        import jax
        import optax  # noqa: F401
    except ImportError as error:
        raise BackendError(f"descent: needs JAX and optax, which are not installed ({error})") from None
    try:
        place = Place(tuple(jax.local_devices(backend=device)))
    except RuntimeError:
        place = Place(tuple(jax.local_devices(backend="cpu")), NO_GPU + "; ")
    with jax.enable_x64(True), jax.default_device(place.devices[0]):
        try:
            yield place
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise BackendError(
                f"descent: does not fit into the memory of {place.name}: {str(error).splitlines()[0]:.120}"
            ) from None
