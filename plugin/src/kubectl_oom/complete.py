"""Completion, as kubectl asks its plugins for it: an executable `kubectl_complete-oom` on PATH. In: the words so far,
the last of them to be completed. Out: a line for each that fits, and `:4` (no file names).

Rules: says nothing where the cluster does not answer.
"""

from __future__ import annotations

import sys

from kubectl_oom import options
from kubectl_oom.collect import collect
from kubectl_oom.errors import OomError
from kubectl_oom.kubectl import Kubectl, end_all

#: What each option may be.
_VALUES = {
    "--by": ("owner", "namespace", "node", "image"),
    "--sort": ("time", "count", "held"),
    "-o": ("wide", "json", "yaml", "name"),
    "--output": ("wide", "json", "yaml", "name"),
    "--color": ("auto", "always", "never"),
}
_OPTIONS = (
    *("--all-namespaces", "--by", "--color", "--container", "--history", "--namespace", "--no-headers", "--node"),
    *("--output", "--owner", "--pods", "--selector", "--since", "--sort", "--watch"),
)


def words(given: list[str]) -> list[str]:
    """What fits the last word."""
    *before, last = given or [""]
    if before and before[-1] in _VALUES:
        found = _VALUES[before[-1]]
    elif last.startswith("-"):
        found = _OPTIONS
    elif "show" in before:
        found = _killed(before)
    else:
        found = () if any(command in before for command in options.COMMANDS) else options.COMMANDS
    return [word for word in found if word.startswith(last)]


def _killed(before: list[str]) -> tuple[str, ...]:
    try:
        asked = options.read([word for word in before if word != "show"] + ["--request-timeout=3s"])
        kills = collect(Kubectl(asked.flags, asked.namespace), asked).kills
    except OomError:
        return ()
    finally:
        end_all()
    return tuple(dict.fromkeys(kill.pod for kill in kills if kill.pod))


def run() -> None:
    """The console script."""
    try:
        found = words(sys.argv[1:])
    except SystemExit:  # argparse: words that it does not know
        found = []
    print(*found, ":4", sep="\n")
