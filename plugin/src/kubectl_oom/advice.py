"""What to do next. In: a Kill, its incident. Out: lines of rich Text. Rules: pure; the agent's hints with what each
rests on; where none says what to do about what filled the memory, what fits the one word for that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from rich.text import Text

from kubectl_oom.kill import KUBERNETES, Kill
from kubectl_oom.paint import DIM
from kubectl_oom.plain import duration
from kubectl_oom.reading import Json, moment, records, text, texts

_INDENT = 2
#: Hints on what came of it, or who was chosen: what filled the memory they do not say.
_BESIDE = frozenset(("child-killed", "group-kill", "oom-score", "crash-loop", "trigger", "pressure", "swap"))
#: Of what the victim held, by its pattern.
_GROWTH = {
    "steady": "It grew until it was killed: profile its heap, and find what it keeps and never frees. A higher limit "
    "buys time, no more.",
    "spike": "Find what it was working on at that moment, such as one large request, and bound that; or raise the "
    "limit above such a peak.",
    "at the limit": "It lives near its limit: raise the limit, or give it fewer workers and smaller caches.",
    "sawtooth": "Its peaks reach the limit: raise the limit above them, or give it less work at a time.",
}
_EXPLAIN = "kubectl oom explain"
#: A rule's name. It becomes part of a command, so nothing else does, whoever wrote the Event.
_RULE = re.compile(r"[a-z][a-z0-9-]*")
#: A program that had not run longer has no course to be judged by.
_START_SECONDS = 60
#: By the word of why.py.
_NEXT = {
    "process": "Watch whether it grows (kubectl top pod --containers). If it does, it leaks: profile its heap. If not, "
    "it needs more than its limit: raise that above its peak.",
    "others": "Another process below the same limit held more than the victim: see 'living' above, and look there.",
    "tmpfs": "Files in memory filled it: look for an emptyDir with medium Memory, or /dev/shm; clear it, set its "
    "sizeLimit, or count it in.",
    "cache": "Page cache that the kernel could not give back in time filled it: look for heavy writes to slow disks.",
    "kernel": "Kernel memory filled it: look for very many sockets, pipes, files, threads or processes.",
    "sandbox": "The Pod's sandbox was killed, so all its containers restart: see which of them filled the Pod.",
    "lowered": "The limit was lowered below what was in use: raise it again, or see who lowers it (an autoscaler?).",
    "node": "The node's own memory ran out: see which Pod holds more than it requests; set requests that are true.",
    "?": "Ask how much it uses, with its limit beside it: kubectl top pod --containers.",
}


def lines(
    kill: Kill, incident: Json, wrap: Callable[[str, int], Iterator[Text]], room: int | None, is_tight: bool
) -> Iterator[Text]:
    """wrap: from a text and its indent to lines. room: lines that there are; None for as many as it takes. is_tight:
    without what each rests on."""
    found = records(incident, "hints", most=6)
    steps = [(_rule(hint), list(_hint(hint, wrap, is_tight))) for hint in found]
    if all(rule in _BESIDE for rule, _ in steps):
        next_step = _NEXT.get(kill.why, _NEXT["?"])
        if kill.why == "process":
            next_step = _GROWTH.get(kill.pattern, _at_its_start(incident) or next_step)
        steps.insert(0, ("", list(wrap(next_step, _INDENT + 3))))
    left: list[str] = []
    for position, (rule, step) in enumerate(steps, 1):
        room = None if room is None else room - len(step)
        if left or (position > 1 and room is not None and room < (is_tight or position < len(steps))):
            left.append(rule)
            continue
        yield Text(f"{' ' * _INDENT}{position}. {step[0].plain.lstrip()}")
        yield from step[1:]
    if more := list(filter(None, (rule for rule, _ in steps) if is_tight else left)):
        yield from wrap(f"{'See also' if left else 'More'}: {_EXPLAIN} {' '.join(more)}", _INDENT)
    if kill.source == KUBERNETES:
        yield from wrap(
            "No agent told of this, so the process and where the memory was are not known. Is oomeventer on this "
            "node, or has the Event expired (try --history)?",
            _INDENT,
        )


def _hint(hint: Json, wrap: Callable[[str, int], Iterator[Text]], is_tight: bool) -> Iterator[Text]:
    yield from wrap(text(hint, "text", limit=600), _INDENT + 3)
    if is_tight:
        return
    rests = "; ".join(texts(hint, "evidence", most=6, limit=200))
    more = f" More: {_EXPLAIN} {_rule(hint)}" if _rule(hint) else ""
    for line in wrap(f"rests on: {rests}.{more}", _INDENT + 3):
        line.stylize(DIM)
        yield line


def _rule(hint: Json) -> str:
    name = text(hint, "rule", limit=60)
    return name if _RULE.fullmatch(name) else ""


def _at_its_start(incident: Json) -> str:
    victim = next(iter(records(incident, "victims", most=1)), {})
    end, start = moment(incident, "time"), moment(victim, "started_at")
    if not end or not start or (ran := (end - start).total_seconds()) > _START_SECONDS:
        return ""
    return (
        f"It reached the limit within {duration(ran + 1)} of its start: it takes more from the first, so raise "
        "the limit, or lower what it takes at once (heap, caches, workers, the input that it loads)."
    )
