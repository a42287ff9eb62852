"""What a scene's figures are. In: what was sent, told and counted. Out: numbers by name. Rules: pure."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fleet import gauges
from fleet.gauges import Key
from fleet.member import Sent

_LATENCY = "apiserver_request_duration_seconds"


def figures(
    sent: Sequence[Sequence[Sent]],
    after: Sequence[Sequence[float]],
    killed: Sequence[Sequence[float]],
    counted: Mapping[Key, float],
    speed: float,
    since: float,
) -> dict[str, Any]:
    """Of a scene. sent: by node, real seconds. after, killed: by node, seconds of the clock that runs `speed` times as
    fast. since: what was sent before that second is not counted, but for the first seconds of a start."""
    requests = sorted(one for node in sent for one in node if one[0] >= since)
    delays = [delay for node in after for delay in node]
    kills = sum(map(len, killed))
    seconds = (requests[-1][0] - since) * speed if requests else 0.0
    by_second = Counter(int((at - since) * speed) for at, *_ in requests)
    writes = {"resource": "events", "verb": "POST"}, {"resource": "events", "verb": "PATCH"}
    served = {
        f"{of['verb']} {of['resource']}": [gauges.quantile(counted, _LATENCY, q, **of) for q in (0.5, 0.99)]
        for of in (*writes, {"resource": "pods", "verb": "GET"})
    }
    last = [killed_at[-1] + told[-1] for killed_at, told in zip(killed, after, strict=True) if told]
    slowest = [max(node) for node in after if node]
    return {
        "kills": kills,
        "told": len(delays),
        "requests": dict(Counter(what for _, _, what, _ in requests).most_common()),
        "statuses": dict(Counter(str(status) for *_, status in requests).most_common()),
        "requests_a_kill": round(len(requests) / kills, 2) if kills else None,
        "requests_a_second": round(len(requests) / seconds, 2) if seconds else 0.0,
        "busiest_second": max(by_second.values(), default=0),
        "seen_seconds": spread([took for _, took, _, status in requests if status]),
        "served_seconds": {what: of for what, of in served.items() if not math.isnan(of[0])},
        "refused_by_apf": gauges.total(counted, "apiserver_flowcontrol_rejected_requests_total"),
        "told_seconds": spread(delays),
        "all_told_seconds": round(max(last), 1) if last else None,
        "fairness": round(_jain(slowest), 2) if slowest else None,
        "etcd_puts": gauges.total(counted, "etcd_mvcc_put_total"),
        "etcd_wal_bytes": gauges.total(counted, "etcd_disk_wal_write_bytes_total"),
        "apiserver_cpu_seconds": round(gauges.total(counted, "process_cpu_seconds_total"), 1),
        "etcd_cpu_seconds": round(gauges.total(counted, "etcd_cpu_seconds_total"), 1),
    }


def first_seconds(sent: Sequence[Sequence[Sent]], since: float, seconds: float, step: float) -> list[tuple[float, int]]:
    """How many requests were sent in each step from a moment on."""
    counts = Counter(int((at - since) / step) for node in sent for at, *_ in node if since <= at < since + seconds)
    return [(round(number * step, 3), counts[number]) for number in range(int(seconds / step))]


def spread(values: Sequence[float]) -> list[float] | None:
    """Median, p99, most."""
    if not values:
        return None
    ordered = sorted(values)
    p99 = ordered[math.ceil(len(ordered) * 0.99) - 1]
    return [round(value, 4) for value in (statistics.median(ordered), p99, ordered[-1])]


def _jain(values: Sequence[float]) -> float:
    """Jain's index: 1 where all have the same, 1/n where one has all."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else 1.0
