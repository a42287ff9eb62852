"""What to do next. In: a Kill, its incident. Out: lines of rich Text. Rules: pure; the agent's hints with what each
rests on; where it gave none, what fits the one word for what filled the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich.text import Text

from kubectl_oom.kill import KUBERNETES, Kill
from kubectl_oom.paint import DIM
from kubectl_oom.reading import Json, records, text, texts

_INDENT = 2
#: By the word of why.py.
_NEXT = {
    "process": "See whether it leaks or spikes (above). A leak: profile its heap. A spike: find what it was "
    "working on, or raise the limit above its peak.",
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


def lines(kill: Kill, incident: Json, wrap: Callable[[str, int], Iterator[Text]]) -> Iterator[Text]:
    """wrap: from a text and its indent to lines."""
    found = records(incident, "hints", most=6)
    for position, hint in enumerate(found, 1):
        words = list(wrap(text(hint, "text", limit=600), _INDENT + 3))
        words[0] = Text(f"{' ' * _INDENT}{position}. {words[0].plain.lstrip()}")
        yield from words
        rests = "; ".join(texts(hint, "evidence", most=6, limit=200))
        for line in wrap(f"rests on: {rests}. More: docs/hints.md#{text(hint, 'rule', limit=60)}", _INDENT + 3):
            line.stylize(DIM)
            yield line
    if not found:
        yield from wrap(_NEXT.get(kill.why, _NEXT["?"]), _INDENT)
    if kill.source == KUBERNETES:
        yield from wrap(
            "No agent told of this, so the process and where the memory was are not known. Is oomeventer on this "
            "node, or has the Event expired (try --history)?",
            _INDENT,
        )
