"""How it came to the limit, and how often. In: an Incident with `trajectory`, `repeats`, `pressure`. Out: findings.

Rules: pure. A limit that is recommended says by whose rule: KRR's after an OOM kill is the limit that was hit + 25%,
VPA's is what was held + 100Mi, or + 20% where that is more. Held is of the samples, which leave page cache out, not
the kernel's peak, which is the limit itself.
"""

from oomeventer.hints.rule import Finding, found
from oomeventer.incident import Incident, Trajectory
from oomeventer.text import apart, duration, size

_MI = 1 << 20
#: Kills of one kind that are a loop.
_LOOP = 3
#: Percent of the last minute that somebody waited for memory, from which on it was felt.
_STALLED = 20.0


def leak(incident: Incident) -> Finding | None:
    """It grew at one rate."""
    course = _course(incident, "steady")
    if course is None or not course.rate_bytes_per_hour or course.rate_bytes_per_hour < 0:
        return None
    rate = size(course.rate_bytes_per_hour)
    lasts = f"twice the limit would last {duration(course.lasts_seconds)}" if course.lasts_seconds else ""
    delays = f"{lasts}, so raising it only delays the next kill" if lasts else "raising the limit only delays it"
    return found(
        f"Memory grew by about {rate} an hour up to the limit, as a leak or a cache without bounds does",
        f"{delays}; compare two heap profiles",
        f"steady, {rate} an hour",
    )


def spike(incident: Incident) -> Finding | None:
    """It rose within a moment."""
    course, limit = _course(incident, "spike"), incident.limit_bytes
    if course is None or course.before_bytes is None or not limit:
        return None
    covered = duration(course.covers_seconds) if course.samples else None
    is_first = incident.repeats is None or incident.repeats.count < 2  # else it had more, between two samples
    most = course.highest_bytes if is_first else None
    highest = f", and {size(most)} at most in the {covered} before" if most and covered else ""
    return found(
        f"It held {size(course.before_bytes)} until a moment before{highest}, so it does not look like a leak",
        f"find the request or job that took the rest and bound it; if it is needed, {_recommended(limit, None)}",
        f"spike from {size(course.before_bytes)}",
    )


def limit_too_low(incident: Incident) -> Finding | None:
    """It has lived at its limit all along."""
    course, limit = _course(incident, "at the limit"), incident.limit_bytes
    held = max((sample.bytes for sample in course.samples), default=0) if course else 0
    if course is None or not limit or not (held := max(held, course.highest_bytes or 0)):
        return None
    since = f" for {duration(course.since_seconds)}" if course.since_seconds else ""
    return found(
        f"It has lived within 10% of its {size(limit)} limit{since}, so the limit is below what it needs",
        f"{_recommended(limit, held)}",
        f"held {size(held)} at most, page cache left out",
    )


def sawtooth(incident: Incident) -> Finding | None:
    """It rises and falls."""
    course = _course(incident, "sawtooth")
    if course is None or not incident.limit_bytes:
        return None
    return found(
        f"Memory rises and falls again, as garbage or batches do, and this time met the {size(incident.limit_bytes)} "
        f"limit on its way",
        "have it collect earlier or take smaller batches before you raise the limit",
        "sawtooth",
    )


def crash_loop(incident: Incident) -> Finding | None:
    """The same again and again."""
    repeats = incident.repeats
    if repeats is None or repeats.count < _LOOP:
        return None
    every = f", {apart(repeats.every_seconds)}" if repeats.every_seconds else ""
    return found(
        f"This is kill number {repeats.count} of its kind since {repeats.since:%Y-%m-%d %H:%M} UTC{every}",
        "a restart "
        "does not help, so change the limit or the program, or roll back what was deployed before the first of them",
        f"{repeats.count} kills",
    )


def pressure(incident: Incident) -> Finding | None:
    """It had been slow before."""
    stalled = incident.pressure.some_60s if incident.pressure else 0.0
    if stalled < _STALLED:
        return None
    return found(
        f"It waited for memory {stalled:.0f}% of the last minute, so it was slow before it was killed",
        "alert on memory pressure (PSI) of its cgroup, which tells in advance",
        f"some {stalled:.0f}% in 60 s",
    )


def _course(incident: Incident, pattern: str) -> Trajectory | None:
    course = incident.trajectory
    return course if course and course.pattern == pattern else None


def _recommended(limit: int, held: int | None) -> str:
    """Two rules' limits, in whole Mi."""
    krr = f"{size(_whole(limit * 5 // 4))} by KRR's rule (the limit + 25%)"
    if held is None:
        return f"raise the limit to {krr}"
    vpa = size(_whole(max(held + 100 * _MI, held * 6 // 5)))
    return f"raise it to {krr} or {vpa} by VPA's (held + 100Mi, or + 20%)"


def _whole(bytes_: int) -> int:
    return -(-bytes_ // _MI) * _MI
