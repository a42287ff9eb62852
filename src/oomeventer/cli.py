"""The program. In: argv and environ. Out: an exit status (0 well, 1 broken, 2 wrong usage).

Rules: wiring only. A command is imported once its settings are read: trace, demo and history do without the Kubernetes
client, and a mistake or a help text without uvloop.
"""

import contextlib
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from oomeventer import command_line
from oomeventer.command_line import Line, UsageError
from oomeventer.errors import OomeventerError

if TYPE_CHECKING:
    from oomeventer.settings import Settings

#: How long the end waits for a thread, which has nothing more to do.
THREAD_SECONDS = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. argv: without the program's name."""
    try:
        status = _main(sys.argv[1:] if argv is None else argv)
        print(end="", flush=True)
    except BrokenPipeError:  # the reader of our output has gone
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


def _main(argv: Sequence[str]) -> int:
    try:
        line = command_line.parse(argv)
    except UsageError as e:
        return _wrong_usage(e)
    except SystemExit as e:  # help or version is shown
        return int(e.code or 0)
    from oomeventer import logs
    from oomeventer.settings import SettingsError, read

    try:
        settings = read(line.texts, os.environ, line.command, line.mistakes)
    except SettingsError as e:
        return _wrong_usage(e)
    logs.setup(settings.log_level, settings.log_format)
    import uvloop

    try:
        return _ended(int(uvloop.run(_command(line, settings)) or 0))
    except OomeventerError as e:
        logs.last_words(str(e), settings.log_format)
        return 1


def _wrong_usage(error: OomeventerError) -> int:
    print(f"oomeventer: {error}".replace("\n", "\noomeventer: "), file=sys.stderr)
    return 2


def _ended(status: int) -> int:
    """The status. A thread that hangs in the kernel (a disk, /proc) is not waited for: then the process ends here."""
    import logging
    import threading

    from oomeventer.threads import CallThread

    for thread in threading.enumerate():
        if thread is not threading.main_thread() and (isinstance(thread, CallThread) or not thread.daemon):
            thread.join(THREAD_SECONDS)
            if thread.is_alive():
                logging.getLogger(__name__).warning("thread %s hangs, and is left behind", thread.name)
                logging.shutdown()
                sys.stdout.flush()
                os._exit(status)
    return status


def _command(line: Line, settings: "Settings") -> Coroutine[Any, Any, int | None]:
    as_json = "json" in line.options
    match line.command:
        case "run":
            from oomeventer.commands.run import run

            return run(settings)
        case "trace":
            from oomeventer.commands.trace import trace

            return trace(settings, as_json)
        case "demo":
            from oomeventer.commands.demo import demo

            return demo(settings)
        case "doctor":
            from oomeventer.commands.doctor import doctor

            return doctor(settings)
        case "history":
            from oomeventer.commands.history import history

            return history(settings, as_json, follows="follow" in line.options)
        case "detach":
            from oomeventer.commands.detach import detach

            return detach(settings)
    raise AssertionError(f"{line.command} is a command without a module")
