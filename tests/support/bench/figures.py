"""What was measured, and the table of it. In: samples. Out: Markdown. Rules: pure."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from bench.watching import STAGES, Counted

#: Who watches: nobody, the agent with its journal on disk, the same in memory, the first again with stamps, and while
#: no CPU sleeps.
NOBODY, DISK, MEMORY, STAMPED, AWAKE = "no agent", "journal on disk", "journal in memory", "stamped", "awake"
AGENTS = (DISK, MEMORY)


@dataclass
class Figures:
    """By who watches, in seconds unless noted.

    deaths, victims: of each victim, from its start to its end, and its CPU time, by round. first, delays: of a new
    agent's first kill, and of the others, to its request. reader: to its record being read. programs: BPF's seconds and
    runs, by name, of each round; unwoken: the same while the agent is stopped. work: of the rounds; storms: of a storm;
    storms_awake: of one while no CPU sleeps. starts: until it watches; through: until it reports. imports: of an
    interpreter that imports the agent. bare: CPU of a kill's I/O by itself. idle: seconds, each with its CPU time and
    context switches. resident: MiB, and the anonymous ones, before a storm and after it. made: kills of ours that
    agents watched; seen: all that they saw.
    """

    deaths: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    victims: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    first: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    reader: list[float] = field(default_factory=list)
    programs: dict[str, list[dict[str, tuple[float, int]]]] = field(default_factory=lambda: defaultdict(list))
    unwoken: list[dict[str, tuple[float, int]]] = field(default_factory=list)
    work: dict[str, Counted] = field(default_factory=lambda: defaultdict(Counted))
    storms: dict[str, Counted] = field(default_factory=dict)
    storms_awake: dict[str, Counted] = field(default_factory=dict)
    starts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    through: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    imports: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    idle: dict[str, list[tuple[float, ...]]] = field(default_factory=lambda: defaultdict(list))
    resident: dict[str, tuple[tuple[float, float], tuple[float, float]]] = field(default_factory=dict)
    made: int = 0
    seen: int = 0

    def watched(self, seen: int, made: int) -> None:
        """An agent saw so many kills, while so many were made here."""
        self.seen += seen
        self.made += made

    def table(self) -> str:
        """Markdown."""
        rows = [("", NOBODY, *AGENTS), ("---",) * 4, *self._deaths(), *self._delays(), *self._costs()]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _deaths(self) -> Iterable[tuple[str, ...]]:
        for what, samples in (("from its start to its death", self.deaths), ("CPU of its own", self.victims)):
            medians = {who: [statistics.median(one) for one in samples[who]] for who in samples}
            median = {who: statistics.median(flat(samples[who])) for who in samples}
            cells = []
            for who in AGENTS:
                ratios = [a / b for a, b in zip(medians[who], medians[NOBODY], strict=True)]
                by_round = f"{min(ratios):.2f} to {max(ratios):.2f}"
                cells.append(f"{_ms(median[who])}, x {median[who] / median[NOBODY]:.2f} ({by_round})")
            yield f"a victim, {what}: median, x without an agent (by round)", _ms(median[NOBODY]), *cells

        kill, signal = (_run(self.programs[STAMPED], name) for name in ("mark_victim", "signal_deliver"))
        share = (kill + signal) / statistics.median(flat(self.victims[NOBODY]))
        cell = f"{kill * 1e6:.0f} us, {share:.1%} of a victim's CPU; {signal * 1e6:.1f} us"
        yield "BPF for a kill; for a signal, of all that are delivered on the machine: mean", "", cell, ""
        for what, samples in (
            ("the agent is stopped, and nobody is to be woken", self.unwoken),
            ("no CPU sleeps", self.programs[AWAKE]),
        ):
            yield f"BPF for a kill while {what}: mean", "", f"{_run(samples, 'mark_victim') * 1e6:.0f} us", ""

    def _delays(self) -> Iterable[tuple[str, ...]]:
        yield (
            "from the kernel's mark to the request's arrival: median, p99",
            "",
            *(f"{_ms(statistics.median(self.delays[who]))}, {_ms(p99(self.delays[who]))}" for who in AGENTS),
        )
        reader, whole = statistics.median(self.reader), statistics.median(self.delays[STAMPED])
        share = f"{_ms(reader)}, {_ms(p99(self.reader))}: {reader / whole:.0%} of {_ms(whole)}"
        yield "of that until the record is read (agents of their own)", "", share, ""
        for stage in STAGES:
            mean = {who: self.work[who].stages[stage] / max(1, self.work[who].seen) for who in AGENTS}
            whole = {who: statistics.fmean(self.delays[who]) for who in AGENTS}
            yield f"of that stage {stage}: mean", "", *(f"{_ms(mean[w])}, {mean[w] / whole[w]:.0%}" for w in AGENTS)
        yield "a new agent's first kill: median", "", *(_ms(statistics.median(self.first[who])) for who in AGENTS)

    def _costs(self) -> Iterable[tuple[str, ...]]:
        bare = statistics.median(self.bare)
        cells = [f"{_thousand(self.work[who])}, x {self.work[who].each_seconds / bare:.1f}" for who in AGENTS]
        what = f"CPU for 1,000 kills, a request each: x of what they read, write and send ({bare * 1e3:.1f} s)"
        yield what, "", *cells
        yield "the same while no CPU sleeps", "", _thousand(self.work[AWAKE]), ""
        for what, storms in ("", self.storms), (" while no CPU sleeps", self.storms_awake):
            yield f"CPU for 1,000 kills of a storm{what}", "", *(_thousand(storms[who]) for who in AGENTS)
        idle = {who: [sum(column) for column in zip(*self.idle[who], strict=True)] for who in AGENTS if self.idle}
        cells = [f"{_ms(cpu)}, {switches:.0f}" for _, cpu, switches in idle.values()] or ["not measured"] * 2
        length = f" for {idle[DISK][0]:.0f} s" if idle else ""
        yield f"idle{length}: CPU, context switches", "", *cells
        memory = [self.resident[who] for who in AGENTS]
        cells = [f"{rest[0]:.0f} ({rest[1]:.0f}), {after[0]:.0f} ({after[1]:.0f}) MiB" for rest, after in memory]
        yield "resident (anonymous) at rest, and after a storm", "", *cells
        imports = statistics.median(self.imports)
        for what, seconds in (
            ("watches: its kills are kept", self.starts),
            ("reports: through with its start", self.through),
        ):
            medians = [statistics.median(seconds[who]) for who in AGENTS]
            cells = [f"{median:.2f} s, x {median / imports:.2f}" for median in medians]
            yield f"start until it {what}: median, x of Python with its imports ({imports:.2f} s)", "", *cells


def _run(programs: Sequence[dict[str, tuple[float, int]]], name: str) -> float:
    """Seconds for a run of that one."""
    seconds, runs = (sum(column) for column in zip(*(one[name] for one in programs), strict=True))
    return seconds / max(1, runs)


def flat(rounds: Sequence[Sequence[float]]) -> list[float]:
    """All rounds' samples."""
    return [sample for one in rounds for sample in one]


def p99(samples: Sequence[float]) -> float:
    """The sample that 99 of 100 do not exceed."""
    return sorted(samples)[math.ceil(len(samples) * 0.99) - 1]


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 0.1 else f"{seconds * 1e3:.0f} ms"


def _thousand(counted: Counted) -> str:
    return f"{counted.each_seconds * 1000:.1f} s"
