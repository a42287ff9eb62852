"""Completion, as kubectl asks its plugins for it: an executable `kubectl_complete-oom` on PATH. In: the words so far,
the last of them to be completed. Out: a line for each that fits, and `:4` (no file names).

Rules: says nothing where the cluster does not answer soon. Pods, containers, owners, nodes and namespaces are those
where something was killed.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace

from kubectl_oom import explain, options
from kubectl_oom.collect import collect
from kubectl_oom.errors import OomError
from kubectl_oom.kill import Kill
from kubectl_oom.kubectl import Kubectl, end_all

_FORMS = ("wide", "json", "yaml", "name")
#: What each option may be.
_VALUES = {
    "--by": ("owner", "namespace", "node", "image"),
    "--sort": ("time", "count", "held"),
    "-o": _FORMS,
    "--output": _FORMS,
    "--color": ("auto", "always", "never"),
    "--since": ("30m", "2h", "1d"),
}
#: Or what of the kills it is.
_OF_KILLS: dict[str, Callable[[Kill], str]] = {
    "-n": lambda kill: kill.namespace,
    "--namespace": lambda kill: kill.namespace,
    "-c": lambda kill: kill.container,
    "--container": lambda kill: kill.container,
    "--node": lambda kill: kill.node,
    "--owner": lambda kill: kill.owner,
}
_OPTIONS = (
    *("--all-namespaces", "--by", "--color", "--container", "--context", "--history", "--namespace", "--no-headers"),
    *("--node", "--output", "--owner", "--pods", "--selector", "--since", "--sort", "--watch"),
)
_SECONDS = 3


def words(given: list[str]) -> list[str]:
    """What fits the last word. Raises OomError; ends the program for options that it does not know."""
    *before, last = given or [""]
    option = before[-1] if before else ""
    if option in _VALUES:
        found: Iterable[str] = _VALUES[option]
    elif option == "--context":
        found = Kubectl([], None).run("config", "get-contexts", "-o", "name").all().split()
    elif option in _OF_KILLS:
        found = map(_OF_KILLS[option], _kills(before[:-1], everywhere=option in ("-n", "--namespace")))
    elif last.startswith("-"):
        found = _OPTIONS
    else:
        _, named = options.begun(before)
        found = options.COMMANDS if not named else ()
        if named == ["show"]:
            found = (kill.pod for kill in _kills(before))
        elif named[:1] == ["explain"]:
            found = explain.rules()
    return [word for word in dict.fromkeys(found) if word and word.startswith(last)]


def _kills(before: list[str], everywhere: bool = False) -> list[Kill]:
    """The first word after show is the Pod."""
    asked, named = options.begun([*before, f"--request-timeout={_SECONDS}s"])
    asked = replace(asked, everywhere=everywhere or asked.everywhere)
    kills = collect(Kubectl(asked.flags, asked.namespace), asked).kills
    return [kill for kill in kills if kill.pod == named[1]] if len(named) > 1 else kills


def run() -> None:
    """The console script."""
    found: list[str] = []
    with contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(OomError, SystemExit):
        found = words(sys.argv[1:])
    end_all()
    print(*found, ":4", sep="\n")
