"""What a guest reported of one case, as data: the agent's victims beside the kernel's. In: the guest's JSON. Flows
out: Case and its Pairs. Rules: pure; nothing is judged here (compare.py does)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kernels import oomlog, oomreport
from oomeventer.incident import bounds

PAGE = 4096
#: What a task counts on its own before it tells its mm: 64 events on kernels before 6.2 (TASK_RSS_EVENTS_THRESH), and
#: a CPU's share of a percpu counter's batch since then. A victim that still runs on another CPU tells it between the
#: record and the line in the log.
LAG_PAGES = 64


@dataclass(frozen=True)
class Pair:
    """One victim: in the agent's words, in the kernel's, and what is known of the process. bounded: the incident
    has had its victims' texts before this one (bounds.py)."""

    incident: dict[str, Any]
    victim: dict[str, Any]
    line: oomlog.Killed
    process: dict[str, Any]
    bounded: bool

    def pages_apart(self, name: str) -> int:
        """The log's figure less the record's."""
        return self.line.kib[name] * 1024 // PAGE - int(self.victim[f"{name}_bytes"]) // PAGE

    @property
    def unreadable(self) -> bool:
        """Whether the incident says itself that the arguments' memory could not be read."""
        return "arguments: cut or not readable" in self.incident["notes"]

    @property
    def omitted(self) -> bool:
        """Whether the incident says itself that there was no room for the arguments."""
        return self.victim["command"] is None and any("left out" in note for note in self.incident["notes"])


class Case:
    """A case. expected: what it was built to provoke. killed: the kernel's word, by process. files: of its cgroups,
    when all was over. stat: the keys of memory.stat, where the case is about memory. reports: the kernel's own, by the
    thread that was killed. hello: what kind of guest it was. alone: all that the log tells of is the case's."""

    def __init__(self, reported: dict[str, Any], hello: dict[str, Any], alone: bool = True) -> None:
        self.hello = hello
        self.broken: str | None = reported["broken"]
        self.expected: dict[str, Any] = reported["expected"]
        self.incidents: list[dict[str, Any]] = reported["incidents"]
        self.stat: list[str] = reported["stat"]
        self.files: dict[str, dict[str, str]] = reported["files"]
        self.between: tuple[float, float] = tuple(reported["between"])
        self.processes = {process["pid"]: process for process in reported["processes"]}
        self._of_thread = {tid: p["pid"] for p in reported["processes"] for tid in p["tids"]}
        self.reports = oomreport.read(reported["log"])
        killed = {self.process_of(killed.pid) or killed.pid: killed for killed in oomlog.read(reported["log"])}
        self.killed = {pid: kill for pid, kill in killed.items() if alone or pid in self.processes}

    def told(self) -> bool:
        """Whether the kernel's log has the whole of each kill."""
        return set(self.reports) >= {pid for episode in self.expected.get("episodes", ()) for pid in episode}

    def process_of(self, thread: int) -> int | None:
        """The process of a thread; None for one that was never seen: a thread can be born and die between two looks."""
        return self._of_thread.get(thread)

    def pairs(self) -> Iterator[Pair]:
        """Each victim that both name."""
        for incident in self.incidents:
            text_bytes = 0
            for number, victim in enumerate(incident["victims"]):
                pid = victim["pid"]
                if pid in self.killed and pid in self.processes:
                    process = self.processes[pid]
                    texts = (*process["arguments"], *process["environment"], *process["environment"].values())
                    text_bytes += sum(len(text.encode()) for text in texts)
                    bounded = number >= bounds.VICTIMS_WITH_TEXT or text_bytes > bounds.TEXT_BYTES
                    yield Pair(incident, victim, self.killed[pid], process, bounded)

    def captured(self) -> int:
        """Victims whose arguments were read."""
        return sum(pair.victim["command"] is not None and not pair.bounded for pair in self.pairs())

    def readable(self) -> int:
        """Victims whose arguments had room, in the ring and in the incident."""
        counted = sum(incident["victims_total"] - len(incident["victims"]) for incident in self.incidents)
        return len(self.killed) - counted - sum(pair.omitted or pair.bounded for pair in self.pairs())

    def pages_apart(self) -> int:
        """By how many pages a part of a victim's rss is off the kernel's own log, at most."""
        parts = ("anon", "file", "shmem")
        return max((abs(pair.pages_apart(part)) for pair in self.pairs() for part in parts), default=0)
