"""The verb that serves a page to play with."""

import socket
from typing import Annotated

from ..errors import BackendError, ProblemError
from .app import code, verb
from .options import option


@verb("geomsolve app", "geomsolve app --port 8123 --open")
def app(
    *,
    port: Annotated[int, option("Where the page is served, 1 to 65535.")] = 8080,
    host: Annotated[str, option("0.0.0.0 lets everybody in who reaches this machine.")] = "127.0.0.1",
    open_browser: Annotated[bool, option("Open it in the browser.", "--open")] = False,
) -> int:
    """A page to play with: counts, loss and temperature on sliders, the certified geometry beside them.

    It needs the extra: pip install ".[app]". Nothing that visitors type is run or opened; Ctrl-C ends it.
    """
    if not 1 <= port <= 65535:
        raise ProblemError(f"port: must be from 1 to 65535; got {port}")
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise ProblemError(f"port: {host}:{port} cannot be served: {error.strerror} (write another --port)") from None
    try:
        from .page.page import serve
    except ModuleNotFoundError as error:
        raise BackendError(f'app: needs {error.name}, which is not installed (pip install ".[app]")') from None
    print(f"http://{host}:{port}  (Ctrl-C ends it)", flush=True)
    serve(host, port, open_browser)
    return code(True)
