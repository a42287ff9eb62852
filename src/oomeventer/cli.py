"""The command line. Flows in: argv and environ. Flows out: an exit status (0 well, 1 broken, 2 wrong usage)."""

import contextlib
import json
import logging
import os
import sys
import textwrap
import threading
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from oomeventer import __version__, logs
from oomeventer.errors import OomeventerError
from oomeventer.settings import SETTINGS, Settings, SettingsError, read

COMMANDS = {
    "run": "the agent: Kubernetes Events for the kills on this node",
    "trace": "no cluster needed: show the kills on this machine (--json: one JSON object a line)",
    "demo": "make a real kill in a cgroup of its own and show what it becomes",
    "doctor": "say what this machine has of what is needed",
    "history": "the kills that the agent's journal knows of (--json: one JSON object a line)",
    "detach": "remove what an agent left in the kernel for the next one; kills are then no longer recorded",
}

#: How long the end waits for a thread, which has nothing more to do.
THREAD_SECONDS = 0.5


def usage() -> str:
    """The help text: commands, then every setting with its flag, variable and default."""
    lines = ["Usage: oomeventer COMMAND [OPTION...]", "", "Commands:"]
    lines += [f"  {name:<8} {text}" for name, text in COMMANDS.items()]
    lines += ["", "Options, each also by its variable (OOMEVENTER_NODE_NAME for --node-name):"]
    for setting in SETTINGS:
        default = f" (default: {setting.default})" if setting.default else ""
        text = f"  {setting.flag:<22} {setting.help}{default}"
        lines += textwrap.wrap(text, 118, subsequent_indent=" " * 25, break_on_hyphens=False)
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help") or "--help" in arguments:
        print(usage())
        return 0 if arguments else 2
    if arguments[0] in ("--version", "version"):
        print(f"oomeventer {__version__}")
        return 0
    command, flags = arguments[0], arguments[1:]
    if command not in COMMANDS:
        print(f"oomeventer: {command} is no command; there are {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    as_json = command in ("trace", "history") and "--json" in flags
    if as_json:
        flags.remove("--json")
    try:
        settings = read(flags, os.environ)
    except SettingsError as e:
        print(f"oomeventer: {e}".replace("\n", "\noomeventer: "), file=sys.stderr)
        return 2
    logs.setup(settings.log_level, settings.log_format)
    try:
        return _ended(int(uvloop.run(_command(command, settings, as_json)) or 0))
    except OomeventerError as e:
        logs.last_words(str(e), settings.log_format)
        return 1
    except BrokenPipeError:  # the reader of our output has gone
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _ended(status: int) -> int:
    """The status. A thread that hangs in the kernel (a disk, /proc) is not waited for: then the process ends here."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(THREAD_SECONDS)
            if thread.is_alive():
                logging.getLogger(__name__).warning("thread %s hangs, and is left behind", thread.name)
                logging.shutdown()
                sys.stdout.flush()
                os._exit(status)
    return status


def _command(command: str, settings: Settings, as_json: bool) -> Coroutine[Any, Any, int | None]:
    # Imported where used: trace and demo do without the Kubernetes client.
    match command:
        case "run":
            from oomeventer.commands.run import run

            return run(settings)
        case "trace":
            from oomeventer.commands.trace import trace

            return trace(settings, as_json)
        case "demo":
            from oomeventer.commands.demo import demo

            return demo(settings)
        case "history":
            return _history(settings, as_json)
        case "detach":
            return _detach(settings)
        case _:
            return _doctor(settings)


async def _history(settings: Settings, as_json: bool) -> None:
    from oomeventer.incident import table
    from oomeventer.journal import read_history

    if settings.journal is None:
        raise OomeventerError("there is no journal to read: name its file (--journal)")
    entries = read_history(settings.journal)
    lines = (json.dumps(entry, ensure_ascii=False) for entry in entries) if as_json else table(entries)
    for line in lines:
        print(line)


async def _detach(settings: Settings) -> None:
    from oomeventer.kernel import Pins

    if settings.pins is None or not os.path.exists(settings.pins):  # noqa: ASYNC240 - nothing else runs
        print("nothing is attached that would outlive an agent")
        return
    pins = Pins(settings.pins)
    print(f"{pins.remove()} removed from {settings.pins}; kills are no longer recorded")


async def _doctor(settings: Settings) -> int:
    from oomeventer.commands.doctor import findings

    broken = False
    async for finding in findings(settings):
        state = "ok" if finding.ok else "MISSING" if finding.need else "without"
        print(f"{state:<8} {finding.what:<20} {finding.text}")
        broken |= finding.need and not finding.ok
    return 1 if broken else 0
