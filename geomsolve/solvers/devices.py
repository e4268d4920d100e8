"""Where JAX computes: 64 bits, on the device asked for; nothing global changes."""

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


def check_device(device: str | None) -> None:
    """Nothing, or a ProblemError unless the device is one that can be asked for."""
    if device not in (None, "cpu", "gpu"):
        raise ProblemError(f'device: must be "cpu", "gpu" or None (JAX\'s default); got {device!r:.40}')


@contextmanager
def computing(device: str | None) -> Iterator[Place]:
    """The devices to compute on, with JAX in 64 bits; on the CPU, with a notice, where a GPU is asked for and none is.

    Raises:
        ProblemError: another device than "cpu", "gpu" or None, JAX's default.
        BackendError: JAX is not installed, or the device's memory does not suffice.
    """
    check_device(device)
    try:
        import jax
    except ImportError as error:
        raise BackendError(f"descent: needs JAX, which is not installed ({error})") from None
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
