"""Secrets that careless people put on command lines, and what helps to understand a kill: what is shown of either.

In: data/redaction/*.txt. Out: Lines, and what this program shows of one, before the Pod's spec is known and after.
`PYTHONPATH=tests/support python -m corpus` prints the figures by class.
Rules: a line goes the whole path, from the record's bytes to the incident's JSON.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oomeventer.incident.assemble import assemble
from oomeventer.incident.codec import as_json
from oomeventer.incident.commands import read_commands
from oomeventer.incident.unmasking import Unmasking
from oomeventer.kernel.kill import Missing
from oomeventer.node.procfs import Observation
from oomeventer.redaction.policy import Redaction
from samples import HOST, kill

DATA = Path(__file__).parent / "data/redaction"
_MARKED = re.compile("«([^»]*)»")
_FLAGS = re.compile(r"(?P<flag>limit|spec|cut|variable|comm=[^:]*): ")


@dataclass(frozen=True)
class Line:
    """A command, or a variable with its value, and what is marked in it. See the heads of the files."""

    group: str
    text: str
    flags: frozenset[str]
    marked: tuple[str, ...]
    words: tuple[str, ...]
    spec: tuple[str, ...]

    @property
    def comm(self) -> bytes:
        """As the kernel has it: cut."""
        named = [flag.partition("=")[2] for flag in self.flags if flag.startswith("comm=")]
        return (named[0] if named else self.words[0].rpartition("/")[2]).encode()[:15]

    def kill(self) -> Any:
        """The record of a victim that was called so."""
        end = b"" if "cut" in self.flags else b"\0"
        raw = b"\0".join(word.encode() for word in self.words) + end
        fields: dict[str, Any] = {"comm": self.comm, "arguments": raw, "environment": b"A=1\0"}
        missing = Missing.ARGUMENTS
        if "variable" in self.flags:
            fields = {"comm": b"app", "arguments": b"app\0", "environment": raw}
            missing = Missing.ENVIRONMENT
        return kill(**fields, missing=missing if "cut" in self.flags else Missing(0))


def lines(name: str) -> Iterator[Line]:
    """The lines of secrets.txt or useful.txt."""
    group = ""
    for text in (DATA / name).read_text().splitlines():
        if text.startswith("=="):
            group = text.removeprefix("==").strip()
        elif text and not text.startswith("#"):
            yield _line(group, text)


def _line(group: str, text: str) -> Line:
    flags = set()
    rest = text
    while found := _FLAGS.match(rest):
        flags.add(found["flag"])
        rest = rest[found.end() :]
    marked = tuple(_MARKED.findall(rest))
    command, _, spec = _MARKED.sub(r"\1", rest).partition(" <= ")
    words = (command,) if "variable" in flags else tuple(shlex.split(command))
    return Line(group, text, frozenset(flags), marked, words, tuple(shlex.split(spec)) if spec else words)


def shown(line: Line, with_spec: bool = False) -> dict[str, Any]:
    """The victim as the incident's JSON has it; with_spec: once the Pod's spec is known."""
    policy = Redaction()
    one = line.kill()
    incident = assemble((one,), Observation(), {}, HOST, policy)
    if with_spec:
        masked = Unmasking(policy)
        masked.keep(incident, (one,), read_commands((one,), Observation(), policy))
        masked.keep_spec_words(incident.key, line.spec)
        incident = masked.unmask(incident)
    victim: dict[str, Any] = as_json(incident)["victims"][0]
    return victim


def leaked(line: Line, victim: dict[str, Any]) -> list[str]:
    """The marked secrets that are in what is shown."""
    text = json.dumps([victim["command"], victim["environment"]], ensure_ascii=False)
    return [secret for secret in line.marked if json.dumps(secret, ensure_ascii=False)[1:-1] in text]


def kept(line: Line, victim: dict[str, Any]) -> list[str]:
    """The marked fragments that are shown as they were."""
    if "variable" in line.flags:
        name, _, value = line.words[0].partition("=")
        return [value] if victim["environment"].get(name) == value else []
    whole = {word for word, given in zip(victim["command"], line.words, strict=True) if word == given}
    return [fragment for fragment in line.marked if "".join(shlex.split(fragment)) in whole or fragment in whole]


def figures(name: str, found: Callable[[Line, dict[str, Any]], list[str]]) -> dict[str, tuple[int, int, int]]:
    """By class: how many are marked, and how many of them are found without a spec, and with one."""
    table: dict[str, tuple[int, int, int]] = {}
    for line in lines(name):
        total, without, with_ = table.get(line.group, (0, 0, 0))
        table[line.group] = (
            total + len(line.marked),
            without + len(found(line, shown(line))),
            with_ + len(found(line, shown(line, with_spec=True))),
        )
    return table


def main() -> None:
    """Print both tables."""
    for title, name, found in (("secrets shown", "secrets.txt", leaked), ("useful fragments kept", "useful.txt", kept)):
        table = figures(name, found)
        table["all"] = tuple(map(sum, zip(*table.values(), strict=True)))  # type: ignore[assignment]
        print(f"{title:40}  {'of':>4}  {'without':>7}  {'with a spec':>11}")
        for group, (total, without, with_) in table.items():
            print(f"  {group:38}  {total:4}  {without:7}  {with_:11}")


if __name__ == "__main__":
    main()
