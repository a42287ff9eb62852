"""What the API server and etcd count themselves. In: their /metrics. Out: differences.

Rules: a histogram's quantile is the upper bound of the bucket that it lies in.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

#: A sample's name and labels.
Key = tuple[str, tuple[tuple[str, str], ...]]
_WANTED = (
    "apiserver_request_total",
    "apiserver_request_duration_seconds",
    "apiserver_flowcontrol_rejected_requests",
    "apiserver_flowcontrol_request_wait_duration_seconds",
    "etcd_mvcc_put_total",
    "etcd_disk_wal_write_bytes",
    "etcd_mvcc_db_total_size_in_bytes",
    "process_cpu_seconds",
    "etcd_cpu_seconds",
)


def read(*texts: str) -> Counter[Key]:
    """All that is wanted of pages."""
    found: Counter[Key] = Counter()
    for text in texts:
        kept = "\n".join(line for line in text.splitlines() if any(name in line for name in _WANTED))
        for family in text_string_to_metric_families(kept + "\n"):
            for sample in family.samples:
                found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return found


def total(found: Mapping[Key, float], name: str, **labels: str) -> float:
    """The sum of what has these labels."""
    return sum(value for _, value in _with(found, name, labels))


def quantile(found: Mapping[Key, float], name: str, share: float, **labels: str) -> float:
    """Of a histogram, over all that has these labels; nan where it is empty."""
    buckets: Counter[float] = Counter()
    for of, value in _with(found, f"{name}_bucket", labels):
        buckets[float(of["le"])] += value
    if not buckets or not buckets[math.inf]:
        return math.nan
    return next(bound for bound in sorted(buckets) if buckets[bound] >= share * buckets[math.inf])


def _with(found: Mapping[Key, float], name: str, labels: Mapping[str, str]) -> Iterable[tuple[dict[str, str], float]]:
    for (of, pairs), value in found.items():
        if of == name and labels.items() <= (has := dict(pairs)).items():
            yield has, value
