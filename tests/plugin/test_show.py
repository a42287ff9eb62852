"""`show`: a stranger to OOM kills reads from it which process, whose limit, where the memory was, leak or spike, and
what to do next.

In: stories. Out: one screen.
"""

import asyncio
import json
import os
import pty
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from oomeventer.incident.events import compose
from plugin import STORIES, Plugin, at_present, pod_of, put
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event


async def shown(api: ApiServer, oom: Plugin, name: str, *words: str) -> str:
    put(api, name)
    pod = STORIES[name].pod
    assert pod
    api.put_pod(pod_of(STORIES[name]))
    done = await oom("show", pod.name, "-n", pod.namespace, *words)
    assert (done.status, done.err) == (0, "")
    assert max(map(len, done.out.splitlines())) <= 100
    return done.out


@pytest.mark.parametrize(
    ("name", "process", "limit", "memory", "pattern", "next_step"),
    [
        (
            "leak",
            "victim    java (pid 1 in the container, 9101 on the node), ran 6h",
            "the container's limit, 512Mi, ran out; 512Mi were in use",
            "█ process     480Mi    94%",
            "It grew steadily, 77Mi an hour: as a leak does",
            "lower\n     -XX:MaxRAMPercentage, or raise the limit.",
        ),
        (
            "spike",
            "victim    convert (pid 44 in the container",
            "the container's limit, 256Mi, ran out",
            "█ process     231Mi    90%",
            "It rose within a moment from 66Mi: a spike, no leak. The highest of the day before was 72Mi.",
            "A spike: find what it was working on",
        ),
        (
            "tmpfs",
            "victim    dd (pid 7 in the container",
            "the Pod's limit, 128Mi, ran out",
            "▒ tmpfs       119Mi    93%   files in memory (tmpfs, shared memory)",
            "Not known: the agent took no samples before this kill.",
            "give it a sizeLimit",
        ),
        (
            "node",
            "victim    chrome (pid 1 in the container",
            "the node's memory ran out",
            "3200Mi   web/render-5c6d-9q8vz, no request",
            "Not known",
            "see which Pod holds more than it requests",
        ),
        (
            "group",
            "group     5 processes, all that the group had (memory.oom.group)",
            "the container's limit, 256Mi, ran out",
            "█ process     238Mi",
            "Not known",
            "profile its heap",
        ),
        (
            "thin",
            "victim    hog (pid 17 in the container",
            "the container's limit, 32Mi, ran out",
            "█ process    31.2Mi",
            "Not known",
            "profile its heap",
        ),
    ],
)
async def test_a_stranger_can_tell(
    api: ApiServer, oom: Plugin, name: str, process: str, limit: str, memory: str, pattern: str, next_step: str
) -> None:
    out = await shown(api, oom, name)
    assert compose(STORIES[name]).body["message"] in out.replace("\n", " ")
    one_line = re.sub(r"\s*\n\s*", " ", out)
    for part in (process, limit, memory):
        assert part in out
    assert pattern in one_line
    assert next_step.replace("\n     ", " ") in one_line


async def test_hints_come_with_what_they_rest_on(api: ApiServer, oom: Plugin) -> None:
    out = re.sub(r"\s*\n\s*", " ", await shown(api, oom, "leak"))
    assert "rests on: -XX:MaxRAMPercentage=80 of 512Mi are 410Mi; java held 480Mi. More: docs/hints.md#jvm-heap" in out


async def test_the_graph_has_the_limit_and_earlier_kills(api: ApiServer, oom: Plugin) -> None:
    """One of the same container an hour before is marked below the curve, where it was."""
    earlier = at_present(replace(STORIES["leak"], key="e" * 16), timedelta(hours=3))
    event = compose(earlier)
    api.put_namespace("shop")
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    out = await shown(api, oom, "leak")
    assert re.search(r"512Mi ┤┄{30} limit\n", out)
    (marks,) = re.findall(r"^ {11}( +x +)✕ killed, x: killed before$", out, re.MULTILINE)
    assert 10 < len(marks) - len(marks.lstrip()) < 20
    assert "5 times in 26h, about every 6h23m" in out


async def test_limits_are_those_of_now(api: ApiServer, oom: Plugin) -> None:
    """And what it was at the kill, where somebody has changed it."""
    put(api, "leak")
    pod = pod_of(STORIES["leak"])
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
    api.put_pod(pod)
    out = (await oom("show", "checkout-7d9f-x2x4q", "-n", "shop")).out
    assert re.search(r"app +request none, limit 1Gi   \(at the kill: 512Mi\)", out)
    api.delete_pod("shop", "checkout-7d9f-x2x4q")
    assert "The Pod is gone" in (await oom("show", "checkout-7d9f-x2x4q", "-n", "shop")).out


async def test_a_nodes_own(api: ApiServer, oom: Plugin) -> None:
    host = at_present(replace(STORIES["node"], pod=None, container=None))
    event = compose(host)
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    out = (await oom("show", "node/lab-node")).out
    assert "Node lab-node ran out of memory" in out
    assert "all Pods held 7Gi" in out


async def test_what_kubernetes_alone_knows(api: ApiServer, oom: Plugin) -> None:
    told = {"name": "app", "lastState": {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-11-22T08:20:21Z"}}}
    api.put_pod(pod_of(STORIES["leak"], status={"containerStatuses": [told]}))
    out = (await oom("show", "checkout-7d9f-x2x4q", "-n", "shop")).out
    assert "Container app ended with reason OOMKilled, says its status" in out
    assert "No agent told of this" in out


async def test_nothing_about_that_pod(api: ApiServer, oom: Plugin) -> None:
    done = await oom("show", "none", "-n", "shop")
    assert (done.status, done.out) == (0, "")
    assert "No OOM kills found of Pod none in namespace shop." in done.err
    assert "There is no such Pod now." in done.err


async def test_of_several_containers_one_is_asked_for(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    told = at_present(STORIES["leak"], timedelta(minutes=1))
    assert told.container
    sidecar = replace(told, key="d" * 16, container=replace(told.container, name="sidecar"))
    event = compose(sidecar)
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    newest = json.loads((await oom("show", "checkout-7d9f-x2x4q", "-n", "shop", "-o", "json")).out)
    assert [one["container"] for one in newest] == ["sidecar"]
    asked = json.loads((await oom("show", "pod/checkout-7d9f-x2x4q", "-n", "shop", "-c", "app", "-o", "json")).out)
    assert [one["container"] for one in asked] == ["app"]


async def test_colour_and_width_follow_the_terminal(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    assert "\x1b[" not in (await oom("-n", "shop")).out
    assert "\x1b[" in (await oom("-n", "shop", "--color", "always")).out

    async def on_a_terminal(**environ: str) -> str:
        ours, theirs = pty.openpty()
        environ = {"TERM": "xterm-256color", "COLUMNS": "80", **environ}
        process = await asyncio.create_subprocess_exec(
            "kubectl", "oom", "-n", "shop", env=oom.environ | environ, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        await process.wait()
        read = os.read(ours, 65536).decode()
        os.close(ours)
        return read

    coloured = await on_a_terminal()
    assert "\x1b[1m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert max(map(len, plain.splitlines())) <= 80
    assert "java" in plain
    assert "\x1b[" not in await on_a_terminal(NO_COLOR="1")
