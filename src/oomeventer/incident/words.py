"""What is known of a kill beside who was killed, in words. In: an Incident. Out: sentences without their full stop.

Rules: pure. Nothing is said of what is nothing, and nothing of what is not known.
"""

from collections.abc import Iterator

from oomeventer.incident.incident import Incident, Neighbour
from oomeventer.incident.memory import PodUsage
from oomeventer.incident.why import Share, kernel_kinds, largest, mapper, page_tables_bytes, shares, why
from oomeventer.text import apart, duration, size

#: A share of what ran out that is worth a word, and of the time that was waited for memory.
_SHARE, _PERCENT = 1 / 6, 10
#: From this part of a share on it is all of it, to a reader.
_NEARLY = 0.9
#: Pods in the Event of a node that ran out.
_PODS = 5
#: An earlier height is told if it was so many times what it was just before.
_HIGHER = 1.1


def cause(incident: Incident) -> str | None:
    """Who held the most of what ran out; None where it was the victim, or why is another story."""
    share = largest(incident)
    if share is None or share != why(incident) or share == "process":
        return None
    return _share(incident, share, shares(incident)[share], " of it")


def others(incident: Incident) -> str | None:
    """What else held a good part of it, where the cause does not say."""
    first, usage = why(incident), incident.usage_bytes
    if not usage or first in ("sandbox", "node"):
        return None
    told = [
        _share(incident, share, bytes_)
        for share, bytes_ in sorted(shares(incident).items(), key=lambda of: -of[1])
        if share not in ("process", first) and bytes_ >= usage * _SHARE
    ]
    return f"Of the {size(usage)}, {' and '.join(told)}" if told else None


def left_behind(incident: Incident) -> str | None:
    """What earlier containers of the Pod left."""
    memory, usage = incident.memory, incident.usage_bytes
    left = (memory.left_behind_bytes or 0) if memory else 0
    if not usage or left < usage * _SHARE or _is_left_behind(incident):
        return None
    return f"{size(left)} of it were left behind by an earlier container"


def _is_left_behind(incident: Incident) -> bool:
    """Whether that is what the files in memory are, which the cause says then."""
    memory = incident.memory
    if memory is None or largest(incident) != "tmpfs":
        return False
    return (memory.left_behind_bytes or 0) >= shares(incident)["tmpfs"] * _NEARLY


def _share(incident: Incident, share: Share, bytes_: int, of_it: str = "") -> str:
    amount, memory = size(bytes_), incident.memory
    match share:
        case "tmpfs" if isinstance(who := mapper(incident), Neighbour) and not _is_left_behind(incident):
            return f"{amount}{of_it} are shared memory that {who.comm} maps"
        case "tmpfs":
            return f"{amount}{of_it} are files in memory {_volume(incident)}"
        case "cache":
            dirty = (memory and memory.dirty_bytes) or 0
            waits = f", of which {size(dirty)} wait to be written to a disk" if dirty * 10 >= bytes_ else ""
            return f"{amount}{of_it} are page cache{waits}"
        case "kernel":
            kinds = (kernel_kinds(memory) if memory else {}) | {"page tables": page_tables_bytes(incident)}
            by_size = sorted(kinds.items(), key=lambda of: -of[1])
            largest = [f"{kind} {size(held)}" for kind, held in by_size if held >= bytes_ * _SHARE]
            return f"{amount}{of_it} are the kernel's own" + (f" ({', '.join(largest)})" if largest else "")
        case _:
            return _processes(incident, bytes_, of_it)


def _volume(incident: Incident) -> str:
    name = incident.container.name if incident.container else None
    is_pods = incident.scope != "container"
    volumes = [
        volume.name
        for volume in (incident.pod.memory_volumes if incident.pod else ())
        if is_pods or name is None or name in volume.containers
    ]
    left = ", left behind by an earlier container" if _is_left_behind(incident) else ""
    if not volumes:
        return f"(tmpfs, shared memory){left}"
    return f"(tmpfs, most likely volume {' or '.join(volumes)}){left or ', which stay when the container restarts'}"


def _processes(incident: Incident, bytes_: int, of_it: str) -> str:
    own = incident.container.id if incident.container else None
    by_container: dict[str, int] = {}
    for neighbour in incident.neighbours:
        if neighbour.container_id and neighbour.container_id != own:
            name = neighbour.container or neighbour.container_id[:12]
            by_container[name] = by_container.get(name, 0) + neighbour.rss_bytes
    largest = max(by_container, key=lambda name: by_container[name], default=None)
    if largest is not None and by_container[largest] * 2 >= bytes_:
        return f"container {largest} holds {size(min(by_container[largest], bytes_))}{of_it}"
    count, living = incident.neighbours_total, incident.neighbours_bytes
    if count and living is not None and living * 2 < bytes_:  # such as those that end with PID 1
        return f"processes that have ended since held {size(bytes_)}{of_it}"
    if not count:
        return f"other processes held {size(bytes_)}{of_it}"
    first = max(incident.neighbours, key=lambda neighbour: neighbour.rss_bytes, default=None)
    if count == 1 and first:
        return f"its other process {first.comm} holds {size(bytes_)}{of_it}"
    # One that is larger than all together shares memory with others, and its size says nothing of it.
    named = f", the largest {first.comm} {size(first.rss_bytes)}" if first and first.rss_bytes <= bytes_ else ""
    return f"its {count} other processes hold {size(bytes_)}{of_it}{named}"


def node(incident: Incident, names_pods: bool) -> Iterator[str]:
    """Of a node that ran out: what its Pods hold, and the largest of them, or this one where no others may be named."""
    memory = incident.node_memory
    if memory is None:
        return
    if memory.pods_bytes is not None:
        outside = memory.total_bytes - (memory.available_bytes or 0) - memory.pods_bytes
        rest = f"; outside Pods {size(outside)}" if memory.available_bytes is not None and outside > 0 else ""
        yield f"Pods together hold {size(memory.pods_bytes)} of {size(memory.total_bytes)}{rest}"
    if names_pods and memory.pods:
        yield f"The largest: {', '.join(map(usage, memory.pods[:_PODS]))}"
    elif incident.pod:
        for pod in memory.pods:
            if pod.uid == incident.pod.uid:
                yield f"This Pod holds {_figures(pod)}"


def usage(pod: PodUsage) -> str:
    """A Pod, with what it holds and may hold."""
    return f"{f'{pod.namespace}/{pod.name}' if pod.name else f'Pod {pod.uid}'} {_figures(pod)}"


def _figures(pod: PodUsage) -> str:
    """Where neither request nor limit is known, the API may not have said whether there are any."""
    if pod.request_bytes is None and pod.limit_bytes is None:
        return size(pod.usage_bytes)
    request = "no request" if pod.request_bytes is None else f"request {size(pod.request_bytes)}"
    limit = "no limit" if pod.limit_bytes is None else f"limit {size(pod.limit_bytes)}"
    return f"{size(pod.usage_bytes)} ({request}, {limit})"


def pattern(incident: Incident) -> str | None:
    """How its memory came to be so."""
    story = incident.trajectory
    if story is None:
        return None
    # Where it was killed before, it had more, between two samples.
    highest = None if incident.repeats and incident.repeats.count > 1 else story.highest_bytes
    match story.pattern:
        case "steady" if story.rate_bytes_per_hour:
            per_hour = story.rate_bytes_per_hour
            rate = f"{size(per_hour)} an hour" if per_hour >= 1 << 20 else f"{size(per_hour * 24)} a day"
            is_hinted = bool(incident.hints) and incident.hints[0].rule == "leak"  # which says it, too
            seconds = story.lasts_seconds
            lasts = f": twice the limit would last {duration(seconds)}" if seconds and not is_hinted else ""
            return f"Memory grew steadily, by about {rate}{lasts}"
        case "spike" if story.before_bytes is not None:
            was_higher = story.samples and highest is not None and highest > story.before_bytes * _HIGHER
            covered = duration(story.covers_seconds)
            most = f", and had no more than {size(highest or 0)} in the {covered} before" if was_higher else ""
            return f"Memory rose at once from {size(story.before_bytes)}{most}"
        case "at the limit" if story.since_seconds:
            return f"Memory was within 10% of the limit for {duration(story.since_seconds)}"
        case "sawtooth":
            return "Memory rises and falls again and again" + (f", up to {size(highest)} before" if highest else "")
        case _:
            return None


def repeats(incident: Incident) -> str | None:
    """Which time it is; None of the first."""
    again = incident.repeats
    if again is None or again.count < 2:
        return None
    is_today = again.since.date() == incident.time.date()
    since = again.since.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")
    every = f", {apart(again.every_seconds)}" if again.every_seconds else ""
    return f"{_ordinal(again.count)} such kill since {since} UTC{every}"


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else endings.get(number % 10, 'th')}"


def pressure(incident: Incident) -> str | None:
    """How long it waited for memory, where that is long."""
    waited = incident.pressure
    if waited is None or waited.some_60s < _PERCENT:
        return None
    return f"Stalled on memory for {waited.some_60s:.0f}% of the last minute"


def hint(incident: Incident) -> str | None:
    """The likeliest, without what is told already."""
    if not incident.hints:
        return None
    text = (incident.hints[0].advice or incident.hints[0].text).rstrip(".")
    return text[:1].upper() + text[1:]
