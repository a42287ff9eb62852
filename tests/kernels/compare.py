"""The agent's words held against the kernel's. Flows in: what a guest told of one case. Flows out: what does not fit.

Rules: pure. The kernel's log, its cgroup files and /proc are the witnesses, and what the case was built to provoke.
Where the kernel kept something back (it prints at most ten OOM headers in five seconds, and cuts a line at a kilobyte)
the other witnesses decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kernels import oomlog

PAGE = 4096
#: What a task counts on its own before it tells its mm: 64 events on kernels before 6.2 (TASK_RSS_EVENTS_THRESH), and
#: a CPU's share of a percpu counter's batch since then. A victim that still runs on another CPU tells it between the
#: record and the line in the log.
LAG_PAGES = 64


@dataclass(frozen=True)
class Pair:
    """One victim: in the agent's words, in the kernel's, and what is known of the process."""

    incident: dict[str, Any]
    victim: dict[str, Any]
    line: oomlog.Killed
    process: dict[str, Any]

    def pages_apart(self, name: str) -> int:
        """The log's figure less the record's."""
        return self.line.kib[name] * 1024 // PAGE - int(self.victim[f"{name}_bytes"]) // PAGE


class Case:
    """What a guest told of one case."""

    def __init__(self, told: dict[str, Any], cpus: int) -> None:
        self._told, self._cpus = told, cpus
        self.expected: dict[str, Any] = told["expected"]
        self.incidents: list[dict[str, Any]] = told["incidents"]
        self._processes = {process["pid"]: process for process in told["processes"]}
        self._of_thread = {tid: p["pid"] for p in told["processes"] for tid in p["tids"]}
        self.killed = {self._process_of(killed.pid): killed for killed in oomlog.read(told["log"])}

    def _process_of(self, thread: int) -> int:
        return self._of_thread.get(thread, thread)

    def pairs(self) -> Iterator[Pair]:
        """Each victim that both name."""
        for incident in self.incidents:
            for victim in incident["victims"]:
                pid = victim["pid"]
                if pid in self.killed and pid in self._processes:
                    yield Pair(incident, victim, self.killed[pid], self._processes[pid])

    def captured(self) -> int:
        """Victims whose arguments were read."""
        return sum(pair.victim["command"] is not None for pair in self.pairs())

    def problems(self) -> list[str]:
        """What does not fit, in words."""
        if self._told["broken"]:
            return [f"the case itself broke: {self._told['broken']}"]
        found = [*self._who()]
        for pair in self.pairs():
            found += [f"pid {pair.victim['pid']}: {text}" for text in (*self._victim(pair), *self._where(pair))]
        return found

    def _who(self) -> Iterator[str]:
        """Who was killed, in which incidents."""
        told = [[victim["pid"] for victim in incident["victims"]] for incident in self.incidents]
        wanted = self.expected["episodes"]
        died = {pid for pid, process in self._processes.items() if process["signal"] == 9}
        if set(self.killed) != {pid for episode in wanted for pid in episode}:
            yield f"the kernel killed {sorted(self.killed)}, the case provokes {wanted}"
        if missing := died - set(self.killed):
            yield f"{sorted(missing)} died of SIGKILL, and the kernel's log does not have them"
        if sorted(map(sorted, told)) != sorted(map(sorted, wanted)):
            yield f"incidents with the victims {told}, expected {wanted}"
        elif self.expected.get("ordered", True) and [pids[:1] for pids in told] != [pids[:1] for pids in wanted]:
            yield f"the chosen victims are {[pids[:1] for pids in told]}, expected {[pids[:1] for pids in wanted]}"
        if spared := [pid for pid in self.expected["spared"] if self._processes[pid]["signal"] is not None]:
            yield f"{spared} should live and do not"
        for incident in self.incidents:
            if incident["group_kill"] != (self._group(incident) or len(incident["victims"]) > 1):
                yield f"group_kill is {incident['group_kill']}"
            if incident["lost_before"]:
                yield f"{incident['lost_before']} records were lost"

    def _group(self, incident: dict[str, Any]) -> bool:
        files = self._told["files"]
        return any(
            files[path].get("memory.oom.group") == "1" for path in files if f"{incident['cgroup']}/".startswith(path)
        )

    def _victim(self, pair: Pair) -> Iterator[str]:
        """The victim's own figures and words."""
        victim, line, process = pair.victim, pair.line, pair.process
        for name in ("comm", "uid", "oom_score_adj"):
            if victim[name] != getattr(line, name):
                yield f"{name} is {victim[name]!r}, the kernel says {getattr(line, name)!r}"
        for name in ("total_vm", "pgtables"):
            if pair.pages_apart(name):
                yield f"{name} is {victim[f'{name}_bytes']} bytes, the kernel says {line.kib[name]} kB"
        allowed = LAG_PAGES * max(len(process["tids"]), self._cpus)
        for name in ("anon", "file", "shmem"):
            if abs(pair.pages_apart(name)) > allowed:
                yield f"{name} is {victim[f'{name}_bytes']} bytes, the kernel says {line.kib[name]} kB"
        if victim["chosen"] != line.chosen:
            yield f"chosen is {victim['chosen']}, the kernel says {line.chosen}"
        if (most := self.expected.get("swapped")) and not 8 << 20 < victim["swap_bytes"] <= most:
            yield f"swap is {victim['swap_bytes']} bytes, at most {most} were to be had"
        numbers = process["proc"].get("NSpid", "").split()
        if numbers and victim["container_pid"] != int(numbers[-1]):
            yield f"container_pid is {victim['container_pid']}, /proc said {numbers}"
        yield from self._text(pair)

    def _text(self, pair: Pair) -> Iterator[str]:
        """Arguments and environment."""
        victim, process = pair.victim, pair.process
        if victim["command"] is None or victim["environment"] is None:
            yield f"arguments and environment were not read: {pair.incident['notes']}"
        elif self.expected.get("cut"):
            whole = process["arguments"][: len(victim["command"]) - 1]
            if not pair.incident["truncated"] or victim["command"][:-1] != whole or len(whole) < 100:
                yield f"arguments cut to {len(victim['command'])}, truncated: {pair.incident['truncated']}"
        elif victim["command"] != process["arguments"] or victim["environment"] != process["environment"]:
            yield f"{victim['command']} {victim['environment']}, it was {process['arguments']} {process['environment']}"

    def _where(self, pair: Pair) -> Iterator[str]:
        """Whose limit, how much of it, and who set it off."""
        incident, line, chosen = pair.incident, pair.line, pair.victim["chosen"]
        if not chosen:
            return
        limit = pair.process["cgroup"] if self.expected.get("own_limit") else self.expected["limit"]
        if incident["cgroup"] != pair.process["cgroup"]:
            yield f"its cgroup is {incident['cgroup']}, /proc said {pair.process['cgroup']}"
        left_open = self.expected.get("open") and incident["scope"] == "unknown"
        if not left_open and (incident["scope"] != self.expected["scope"] or incident["limit_cgroup"] != limit):
            yield f"{incident['scope']} {incident['limit_cgroup']} ran out, it was {self.expected['scope']} {limit}"
        if line.constraint and line.limit != limit:
            yield f"the kernel says that {line.limit} ran out, the case provokes {limit}"
        if line.constraint and line.constraint != (wanted := self.expected.get("constraint", line.constraint)):
            yield f"the kernel says {line.constraint}, the case provokes {wanted}"
        if limit and not left_open:
            yield from self._limit(incident, self._told["files"][limit])
        trigger = line.trigger and self._process_of(line.trigger)
        trigger = trigger or self.expected["trigger"]
        if trigger and incident["trigger"]["pid"] != trigger:
            yield f"the trigger is {incident['trigger']['pid']}, the kernel says {trigger}"
        if incident["pid1"] != (pid1 := self.expected.get("pid1")):
            yield f"PID 1 {incident['pid1']}, it is {pid1}"
        time = datetime.fromisoformat(incident["time"]).timestamp()
        began, ended = self._told["between"]
        if not began - 0.1 <= time <= ended + 0.1:
            yield f"killed at {incident['time']}, which is not while the case ran"

    def _limit(self, incident: dict[str, Any], files: dict[str, str]) -> Iterator[str]:
        limit = int(files.get("memory.max") or files["memory.limit_in_bytes"])
        if incident["limit_bytes"] != limit:
            yield f"limit is {incident['limit_bytes']} bytes, its file says {limit}"
        peak = files.get("memory.peak") or files.get("memory.max_usage_in_bytes")
        if peak and not (incident["usage_bytes"] or 0) <= (incident["peak_bytes"] or 0) <= int(peak):
            yield f"usage {incident['usage_bytes']}, peak {incident['peak_bytes']}; its file says {peak}"
