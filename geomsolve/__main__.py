"""`python -m geomsolve`, and the command `geomsolve`."""

import sys


def main() -> None:
    """The command line, or one sentence where what it is written with is not installed."""
    try:
        from .cli import main as run
    except ModuleNotFoundError as error:
        sys.exit(f"geomsolve: the command line needs {error.name}, which is not installed (pip install {error.name})")
    run()


if __name__ == "__main__":
    main()
