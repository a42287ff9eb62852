"""The list, by a real kubectl from the stand-in: what is asked of the server, and what is shown.

In: the agent's own Events. Out: lines, JSON, YAML, names.
"""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from oomeventer.incident.events import compose
from plugin import STORIES, Plugin, at_present, kubeconfig, pod_of, put, rows
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event

LEAK, SPIKE, NODE = STORIES["leak"], STORIES["spike"], STORIES["node"]


async def test_one_line_tells_a_series(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak", count=5)
    done = await oom("-n", "shop")
    head, line = rows(done.out)
    assert dict(zip(head, line, strict=True)) == {
        "LAST SEEN": "12m",
        "TIMES": "5",
        "POD": "checkout-7d9f-x2x4q",
        "CONTAINER": "app",
        "PROCESS": "java",
        "LIMIT": "512Mi container",
        "FILLED BY": "process",
        "PATTERN": "▁▂▃▄▅▆▇█ steady",
        "OWNER": "Deployment/checkout",
    }
    assert (done.status, done.err) == (0, "")


async def test_the_server_filters(api: ApiServer, oom: Plugin) -> None:
    """And no Event that is not about a kill is read."""
    put(api, "leak")
    body = compose(LEAK).body | {"reason": "BackOff", "metadata": {"name": "other", "namespace": "shop"}}
    create_event(api, CORE, "shop", body, "kubelet")
    await oom("-A")
    asked = {(one.path, one.query.get("fieldSelector")) for one in api.requests if one.path.endswith("/events")}
    assert asked == {
        ("/api/v1/events", "reason=OOMKilled"),
        ("/api/v1/namespaces/default/events", "reason=ProcessOOMKilled"),
    }


async def test_everywhere_names_namespaces_and_nodes(api: ApiServer, oom: Plugin) -> None:
    """A kill of the node's memory is one line, though it has two Events; one outside any Pod is the node's."""
    put(api, "leak", "node")
    host = at_present(replace(NODE, pod=None, container=None, key="f" * 16), timedelta(hours=1))
    event = compose(host)
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    done = await oom("-A", "--no-headers")
    assert [line[2] for line in rows(done.out)] == [
        "shop/checkout-7d9f-x2x4q",
        "web/render-5c6d-9q8vz",
        "node/lab-node",
    ]


async def test_thousands_come_in_pages(api: ApiServer, oom: Plugin) -> None:
    told = at_present(STORIES["thin"])
    assert told.pod
    for number in range(2100):
        pod = replace(told.pod, name=f"p{number}", uid=f"{number:08x}-8446-4fbf-be5d-2b4fd7e73508")
        event = compose(replace(told, key=f"{number:016x}", pod=pod))
        create_event(api, CORE, event.namespace, event.body, "oomeventer")
    done = await oom("-n", "kube-system", "-o", "name")
    assert sorted(done.out.split()) == sorted(f"pod/p{number}" for number in range(2100))
    pages = [one.query for one in api.requests if one.path.endswith("/events")]
    assert [("continue" in query, query["limit"]) for query in pages] == [
        (False, "1000"),
        (True, "1000"),
        (True, "1000"),
    ]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--since", "14m"], ["leak"]),
        (["--since", "1h"], ["leak", "spike", "group"]),
        (["--owner", "deploy/checkout"], ["leak"]),
        (["--owner", "StatefulSet/thumbs"], ["spike"]),
        (["--owner", "api"], ["group"]),
        (["--node", "lab-node"], ["leak", "spike", "group"]),
        (["--node", "other"], []),
        (["-c", "worker"], ["spike"]),
        (["-l", "app=thumbs"], ["spike"]),
        (["--sort", "held"], ["leak", "group", "spike"]),
    ],
)
async def test_filters(api: ApiServer, oom: Plugin, words: list[str], shown: list[str]) -> None:
    put(api, "leak", "spike", "group")
    for name in ("leak", "spike"):
        api.put_pod(pod_of(STORIES[name]))
    done = await oom("-n", "shop", "-o", "name", *words)
    pods = [STORIES[name].pod for name in shown]
    assert done.out.split() == [f"pod/{pod.name}" for pod in pods if pod]
    assert done.status == 0


async def test_what_programs_read(api: ApiServer, oom: Plugin) -> None:
    """JSON and YAML say the same, and have the whole incident."""
    put(api, "leak", "spike")
    told = json.loads((await oom("-n", "shop", "-o", "json")).out)
    assert [(one["pod"], one["limitBytes"], one["filledBy"]) for one in told] == [
        ("checkout-7d9f-x2x4q", 512 << 20, "process"),
        ("thumbs-0", 256 << 20, "process"),
    ]
    assert told[0]["incident"]["hints"][0]["rule"] == "jvm-heap"
    assert yaml.safe_load((await oom("-n", "shop", "-o", "yaml")).out) == told
    for form, empty in (("json", json.loads), ("yaml", yaml.safe_load)):
        assert empty((await oom("-n", "none", "-o", form)).out) == []


async def test_wide_shows_node_image_and_message(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    line = (await oom("-n", "shop", "-o", "wide")).out.splitlines()[1]
    for part in ("480Mi", "lab-node", "registry.example/checkout:2.4", "oomeventer", "Container app ran out of its"):
        assert part in line


async def test_series_over_several_events_are_one_line(api: ApiServer, oom: Plugin) -> None:
    """Their counts are added: an Event that expired and began anew."""
    put(api, "leak", count=3)
    earlier = at_present(replace(LEAK, key="e" * 16), timedelta(minutes=30))
    event = compose(earlier)
    create_event(api, CORE, event.namespace, event.body | {"count": 2}, "oomeventer")
    (line,) = rows((await oom("-n", "shop", "--no-headers")).out)
    assert line[:2] == ["12m", "5"]


async def test_top_counts_by_owner_and_image(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak", count=4)
    put(api, "spike")
    lines = rows((await oom("top", "-n", "shop")).out)
    assert lines[0] == ["OWNER", "KILLS", "SERIES", "PODS", "HELD", "LAST SEEN", "MOSTLY FILLED BY"]
    assert [line[:5] for line in lines[1:]] == [
        ["shop/Deployment/checkout", "4", "1", "1", "1920Mi"],
        ["shop/StatefulSet/thumbs", "1", "1", "1", "231Mi"],
    ]
    images = rows((await oom("top", "-n", "shop", "--by", "image", "--no-headers")).out)
    assert [line[0] for line in images] == ["registry.example/checkout:2.4", "registry.example/thumbs:9"]


def status(name: str, reason: str, **more: Any) -> dict[str, Any]:
    return {"containerStatuses": [{"name": name, "lastState": {"terminated": {"reason": reason, **more}}}]}


async def test_without_the_agent_kubernetes_own_word(api: ApiServer, oom: Plugin) -> None:
    """Containers that ended OOMKilled, marked as such; a container of which an agent told is not shown twice."""
    owners = {"ownerReferences": [{"controller": True, "kind": "ReplicaSet", "name": "web-6f7c"}]}
    killed = pod_of(LEAK, status=status("app", "OOMKilled", finishedAt="2026-11-22T08:20:21Z"))
    killed["metadata"] |= owners | {"labels": {"pod-template-hash": "6f7c"}}
    api.put_pod(killed)
    api.put_pod(pod_of(SPIKE, status=status("worker", "Completed")))
    for everywhere in (("-n", "shop"), ("-A",)):
        (line,) = rows((await oom(*everywhere, "--no-headers")).out)
        assert line[1] == "?"
        assert line[3:] == ["app", "not told", "512Mi container", "? (Kubernetes' word)", "-", "Deployment/web"]
    put(api, "leak")
    (line,) = rows((await oom("-n", "shop", "--no-headers")).out)
    assert line[4] == "java"


async def test_nothing_found_says_what_to_check(api: ApiServer, oom: Plugin) -> None:
    done = await oom("-n", "shop")
    assert (done.status, done.out) == (0, "")
    assert "No OOM kills found in namespace shop." in done.err
    assert "There is no agent" in done.err
    agent = {"metadata": {"name": "a", "namespace": "o", "labels": {"app.kubernetes.io/name": "oomeventer"}}}
    api.put_pod(agent)
    assert "There is no agent" not in (await oom("-n", "shop")).err


async def test_the_contexts_namespace_is_the_default(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    kubeconfig(Path(oom.environ["KUBECONFIG"]).parent, api.url, api.token, "shop")
    assert len(rows((await oom("--no-headers")).out)) == 1


async def test_who_may_not_list_events_is_told_how_to_check(api: ApiServer, oom: Plugin) -> None:
    """And which flags name user and cluster, kubectl knows: here the token."""
    done = await oom("-n", "shop", f"--token={api.powerless_token}")
    assert (done.status, done.out) == (1, "")
    assert "Forbidden" in done.err
    assert "kubectl auth can-i list events -n shop" in done.err
    assert (await oom("-n", "shop", "--token", "nobody's")).status == 1
