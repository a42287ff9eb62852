"""Wiring: from the words of the command line to what is shown.

Rules: no logic; answers on stdout, all else on stderr. What draws, rich above all, is imported while kubectl is asked:
from a zipapp that takes a sixth of a second.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from kubectl_oom import empty, options, output
from kubectl_oom.collect import Found, collect, takes
from kubectl_oom.errors import KubectlError, OomError, warn
from kubectl_oom.kill import Kill
from kubectl_oom.kubectl import Kubectl, end_all
from kubectl_oom.options import Options
from kubectl_oom.watch import watch

if TYPE_CHECKING:
    from kubectl_oom.lines import Cell

#: Of columns that later lines fill.
_LEAST = 16


def main(words: Sequence[str]) -> int:
    """The exit status. Raises OomError."""
    asked = options.read(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if asked.command == "explain":
        return _explain(asked)
    try:
        kubectl = Kubectl(asked.flags, asked.namespace)
        run = {"list": _list, "top": _top, "show": _show}[asked.command]
        return run(kubectl, asked)
    finally:
        end_all()


def _list(kubectl: Kubectl, asked: Options) -> int:
    found = _found(kubectl, asked)
    if not found.kills and not asked.watch:
        return _nothing(kubectl, asked)
    if asked.output in ("", "wide"):
        from kubectl_oom import table
        from kubectl_oom.lines import Layout
        from kubectl_oom.terminal import Terminal

        terminal = Terminal(asked.color)
        columns = table.WIDE if asked.output else table.LIST
        rows = [_row(kill, asked) for kill in found.kills]
        width = None if asked.output else terminal.width
        layout = Layout(columns, rows, width, asked.headers, _LEAST if asked.watch else 0)
        terminal.print([*layout.head(), *map(layout.line, rows)])
        for kill in _further(kubectl, asked, found):
            terminal.print([layout.line(_row(kill, asked))])
        return 0
    _write(found.kills, asked)
    for kill in _further(kubectl, asked, found):
        _write([kill], asked)
    return 0


def _top(kubectl: Kubectl, asked: Options) -> int:
    found = _found(kubectl, asked)
    if not found.kills:
        return _nothing(kubectl, asked)
    if asked.output:
        _write(found.kills, asked)
        return 0
    from kubectl_oom import table
    from kubectl_oom.lines import Layout
    from kubectl_oom.terminal import Terminal

    terminal = Terminal(asked.color)
    columns, rows = table.top(found.kills, asked.by, _now())
    layout = Layout(columns, rows, terminal.width, asked.headers)
    terminal.print([*layout.head(), *map(layout.line, rows)])
    return 0


def _show(kubectl: Kubectl, asked: Options) -> int:
    about = asked.target.rpartition("/")[2]
    found = _found(kubectl, asked, about)
    if not found.kills:
        is_node = asked.target != about and asked.target.startswith("no")
        what = f"node {about}" if is_node else f"Pod {about} in namespace {kubectl.namespace}"
        print(f"No OOM kills found of {what}.", file=sys.stderr)
        if not is_node and found.pod is None:
            print("There is no such Pod now. kubectl oom [-A] lists those that were killed.", file=sys.stderr)
        return 0
    newest, *rest = found.kills
    if asked.output:
        _write([newest], asked)
        return 0
    from kubectl_oom.show import story
    from kubectl_oom.terminal import WIDTH, Terminal

    terminal = Terminal(asked.color)
    others = rest + [kill for kill in found.each if kill.series == newest.series]
    width = min(terminal.width or WIDTH, WIDTH)
    terminal.print(story(newest, others, found.pod, _now(), width, terminal.height))
    return 0


def _explain(asked: Options) -> int:
    from kubectl_oom.explain import sections, titles
    from kubectl_oom.terminal import WIDTH, Terminal

    terminal = Terminal(asked.color)
    width = min(terminal.width or WIDTH, WIDTH)
    terminal.print(sections(asked.hints, width) if asked.hints else titles(width))
    return 0


def _prepare() -> None:
    from kubectl_oom import show, terminal  # noqa: F401


def _found(kubectl: Kubectl, asked: Options, about: str = "") -> Found:
    importing = threading.Thread(target=_prepare, daemon=True)
    if asked.output in ("", "wide"):
        importing.start()
    try:
        found = collect(kubectl, asked, about)
    except KubectlError as e:
        raise OomError(f"{e}\n{empty.refused(asked)}" if e.forbidden else str(e)) from e
    finally:
        if importing.ident:
            importing.join()  # two threads may not import from a zip at once
    for sentence in found.warnings:
        warn(sentence)
    return found


def _nothing(kubectl: Kubectl, asked: Options) -> int:
    if asked.output in ("json", "yaml"):
        _write([], asked)
    for sentence in empty.sentences(kubectl, asked):
        print(sentence, file=sys.stderr)
    return 0


def _further(kubectl: Kubectl, asked: Options, found: Found) -> Iterator[Kill]:
    """What comes later, where that was asked for."""
    if asked.watch:
        sys.stdout.flush()
        yield from filter(takes(asked, found.selected), watch(kubectl, asked, found))


def _row(kill: Kill, asked: Options) -> list[Cell]:
    from kubectl_oom import table

    return table.row(kill, _now(), asked.everywhere, asked.output == "wide")


def _write(kills: Sequence[Kill], asked: Options) -> None:
    form = {"json": output.as_json, "yaml": output.as_yaml, "name": output.as_names}[asked.output]
    for line in form(kills):
        print(line)
    if asked.watch:
        sys.stdout.flush()


def _now() -> datetime:
    return datetime.now(timezone.utc)
