"""The program. In: the words of the command line. Out: what it shows; exit status 0, or 1 for an error, 2 for words
that it does not know."""

from __future__ import annotations

import os
import sys

from kubectl_oom.cli import main
from kubectl_oom.errors import OomError


def run() -> None:
    """The console script."""
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except OomError as e:
        print(f"error: {e}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)


if __name__ == "__main__":
    run()
