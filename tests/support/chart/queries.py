"""The dashboard's queries. In: spans, of which Grafana's variables are some. Out: PromQL.

A counter's increase() does not see what its series begins with, and a container's series begins with its first kill:
kills() adds it. Metrics name a Pod, not its owner: WORKLOAD leaves out of the Pod's name what a controller has added.
"""

#: What Kubernetes makes the random parts of names of.
_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"
#: Before a ReplicaSet's hash or a CronJob's minute, if there is one, and the last part: random, or an ordinal.
WORKLOAD = f"(.+?)((-{_SAFE}{{6,10}}|-[0-9]{{8,10}})?-({_SAFE}{{5}}|[0-9]{{1,4}}))?"
NODE = 'node=~"$node"'
_KILLS = f'oomeventer_kills_total{{{NODE},namespace=~"$namespace",pod!=""}}'
_CONTAINER = "namespace, workload, container"


def kills(over: str) -> str:
    """Processes killed within that time, by series."""
    at_first = f"min_over_time({_KILLS}[{over}])"
    return (
        f"(increase({_KILLS}[{over}]) or 0 * {at_first})"
        f" + ({at_first} unless last_over_time({_KILLS}[15m] offset {over}) or 0 * {at_first})"
    )


def workloads(by_pod: str) -> str:
    """With the label workload."""
    return f'label_replace({by_pod}, "workload", "$1", "pod", "{WORKLOAD}")'


def killed(by: str, over: str) -> str:
    """Processes killed within that time; those alone that had any."""
    return f"sum by ({by}) ({workloads(kills(over))}) > 0"


def most(count: int) -> str:
    """The containers with most kills."""
    return f"topk({count}, {killed(_CONTAINER, '$__range')})"


def seen(which: str, count: int) -> str:
    """UNIX time in ms of the first (min) or last (max) kill of those of most(), as exact as $__interval."""
    counted = f"timestamp({_KILLS} unless {_KILLS} <= last_over_time({_KILLS}[15m] offset $__interval))"
    times = workloads(f"{which}_over_time({counted}[$__range:$__interval])")
    return f"1000 * {which} by ({_CONTAINER}) ({times}) and on ({_CONTAINER}) {most(count)}"


def of_agents(metric: str, over: str, *matching: str) -> str:
    """The increase of a counter that is there from an agent's start, and begins at 0 with it."""
    return f"increase({metric}{{{','.join((NODE, *matching))}}}[{over}])"


def of_nodes(metric: str) -> str:
    """The increase of a counter that goes on where an agent ended: by node, over all of its agents."""
    return f"increase(max without (agent, instance, pod) ({metric}{{{NODE}}})[$__range:$__interval])"


def lost() -> str:
    """Kills and Events that nobody will see."""
    outlive = (of_nodes(f"oomeventer_{name}_total") for name in ("ring_lost_records", "events_given_up"))
    others = (of_agents(f"oomeventer_{name}_total", "$__range") for name in ("faults", "unreadable_records"))
    return " + ".join(f"(sum({increase}) or vector(0))" for increase in (*outlive, *others))


def unaccounted() -> str:
    """What the sums of Events differ by."""
    ends = ("delivered_total", "merged_total", "waiting")
    known = " - ".join(f"oomeventer_events_{end}{{{NODE}}}" for end in ends)
    given_up = f"sum without (reason) (oomeventer_events_given_up_total{{{NODE}}})"
    return f"sum(abs(oomeventer_events_seen_total{{{NODE}}} - {known} - {given_up}))"


def quantile(share: str, metric: str, by: str = "le") -> str:
    """Within which such a share is done."""
    return f"histogram_quantile({share}, sum by ({by}) ({of_agents(f'{metric}_bucket', '$__rate_interval')}))"
