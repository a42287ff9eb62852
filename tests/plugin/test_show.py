"""`show`: a stranger to OOM kills reads from it which process, whose limit, where the memory was, leak or spike, and
what to do next.

In: stories. Out: one screen.
"""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from oomeventer.incident.codec import from_json
from oomeventer.incident.events import compose
from pictures.record import KILLS
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
            "victim      java (pid 1 in the container, 9101 on the node), ran 6h",
            "the container's limit, 512Mi, ran out; 512Mi were in use",
            "█ process     480Mi    94%",
            "It grew steadily, 77Mi an hour: as a leak does",
            "lower\n     -XX:MaxRAMPercentage, or raise the limit.",
        ),
        (
            "spike",
            "victim      convert (pid 44 in the container",
            "the container's limit, 256Mi, ran out",
            "█ process     231Mi    90%",
            "It rose within a moment from 66Mi: a spike, which does not look like a leak. The highest before was 72Mi.",
            "1. Find what it was working on at that moment",
        ),
        (
            "tmpfs",
            "victim      dd (pid 7 in the container",
            "the Pod's limit, 128Mi, ran out",
            "▒ tmpfs       119Mi    93%   files in memory (tmpfs, shared memory)",
            "Not known: the agent took no samples before this kill.",
            "give it a sizeLimit",
        ),
        (
            "node",
            "victim      chrome (pid 1 in the container",
            "the node's memory ran out",
            "which Pods held it: kubectl oom show node/lab-node",
            "Not known",
            "see which Pod holds more than it requests",
        ),
        (
            "group",
            "group       5 processes, all that the group had (memory.oom.group); with it gunicorn 46Mi",
            "the container's limit, 256Mi, ran out",
            "█ process     238Mi",
            "Not known",
            "1. It reached the limit within",
        ),
        (
            "thin",
            "victim      hog (pid 17 in the container",
            "the container's limit, 32Mi, ran out",
            "█ process    31.2Mi",
            "Not known",
            "1. It reached the limit within",
        ),
        (
            "others",
            "living      postgres 104Mi (container db)",
            "the Pod's limit, 128Mi, ran out",
            "▓ others      107Mi    84%",
            "Not known",
            "look at the largest of the other processes first",
        ),
        (
            "kernel",
            "victim      hog (pid 12 in the container",
            "the container's limit, 128Mi, ran out",
            "▚ kernel      111Mi    87%",
            "Not known",
            "1. 92Mi of the 128Mi limit are socket buffers",
        ),
        (
            "cache",
            "victim      hog (pid 12 in the container",
            "the container's limit, 128Mi, ran out",
            "░ cache       108Mi    84%",
            "Not known",
            "1. 96Mi of the 128Mi limit waited to be written to a disk",
        ),
        (
            "sandbox",
            "victim      hog (pid 12 in the container",
            "the Pod's limit, 128Mi, ran out",
            "Its parts are not known",
            "Not known",
            "1. The Pod's sandbox was killed, which restarts all its containers",
        ),
        (
            "lowered",
            "victim      hog (pid 12 in the container",
            "the container's limit, 64Mi, ran out; 128Mi were in use",
            "█ process     118Mi",
            "Not known",
            "1. The limit was lowered to 64Mi while 128Mi were in use, which kills at once: raise it again",
        ),
    ],
)
async def test_a_stranger_can_tell(
    api: ApiServer, oom: Plugin, name: str, process: str, limit: str, memory: str, pattern: str, next_step: str
) -> None:
    out = await shown(api, oom, name)
    message = compose(STORIES[name]).body["message"]
    assert re.split(", which held| of it are | of it\\. |: all its|\\. PID 1", message)[0] in out.replace("\n", " ")
    assert "Command:" not in out
    one_line = re.sub(r"\s*\n\s*", " ", out)
    for part in (process, limit, memory):
        assert part in re.sub(r"\s*\n\s{14}", " ", out)
    assert pattern in one_line
    assert next_step.replace("\n     ", " ") in one_line


async def test_hints_come_with_what_they_rest_on(api: ApiServer, oom: Plugin) -> None:
    out = re.sub(r"\s*\n\s*", " ", await shown(api, oom, "leak"))
    assert "rests on: -XX:MaxRAMPercentage=80 of 512Mi are 410Mi; java held 480Mi. More: kubectl oom explain jvm" in out


async def test_the_graph_has_the_limit_and_earlier_kills(api: ApiServer, oom: Plugin) -> None:
    """One of the same container an hour before is marked below the curve, where it was."""
    earlier = at_present(replace(STORIES["leak"], key="e" * 16), timedelta(hours=3))
    event = compose(earlier)
    api.put_namespace("shop")
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    out = await shown(api, oom, "leak")
    assert re.search(r"512Mi ┤┄{62} limit\n", out)
    (marks,) = re.findall(r"^ {11}( +x +)✕ killed \(x: before\)$", out, re.MULTILINE)
    assert 20 < len(marks) - len(marks.lstrip()) < 42
    assert re.search(r"5 times within 2[56]h\S*, about every 6h23m", out)


@pytest.mark.parametrize("fraction", [0, 400_000, 900_000])
async def test_how_often_does_not_depend_on_the_seconds_fraction(api: ApiServer, oom: Plugin, fraction: int) -> None:
    """An Event's times are whole seconds, the incident's are not."""
    told = at_present(STORIES["leak"])
    time = told.time.replace(microsecond=fraction)
    assert told.repeats
    repeats = replace(told.repeats, count=2, since=time - timedelta(seconds=101.5))
    event = compose(replace(told, time=time, repeats=repeats))
    api.put_namespace(event.namespace)
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    assert told.pod
    done = await oom("show", told.pod.name, "-n", event.namespace)
    assert "twice within 101s" in done.out


async def test_limits_are_those_of_now(api: ApiServer, oom: Plugin) -> None:
    """And what it was at the kill, where somebody has changed it."""
    put(api, "leak")
    pod = pod_of(STORIES["leak"])
    pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": "1Gi"}}
    api.put_pod(pod)
    out = (await oom("show", "checkout-7d9f-x2x4q", "-n", "shop")).out
    assert re.search(r"app: request none, limit 1Gi \(at the kill: 512Mi\)", out)
    pod["spec"]["containers"][0]["resources"] = {}
    api.put_pod(pod)
    tight = await oom.on_terminal("show", "checkout-7d9f-x2x4q", "-n", "shop", lines=5, NO_COLOR="1")
    assert "app: request none, limit none (at the kill: 512Mi)" in tight
    api.delete_pod("shop", "checkout-7d9f-x2x4q")
    assert "the Pod is gone" in (await oom("show", "checkout-7d9f-x2x4q", "-n", "shop")).out


async def test_a_nodes_own(api: ApiServer, oom: Plugin) -> None:
    host = at_present(replace(STORIES["node"], pod=None, container=None))
    event = compose(host)
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    out = (await oom("show", "node/lab-node")).out
    assert "Node lab-node ran out of memory" in out
    assert "all Pods held 7Gi" in out
    assert "3200Mi   web/render-5c6d-9q8vz, no request" in out


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
    coloured = await oom.on_terminal("-n", "shop")
    assert "\x1b[1m" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert max(map(len, plain.splitlines())) <= 80
    assert "java" in plain
    assert "\x1b[" not in await oom.on_terminal("-n", "shop", NO_COLOR="1")


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_on_the_smallest_screen(api: ApiServer, oom: Plugin, name: str) -> None:
    """Of 80 columns and 24 lines, with room for the next prompt."""
    put(api, name)
    pod = STORIES[name].pod
    assert pod
    api.put_pod(pod_of(STORIES[name]))
    screen = (await oom.on_terminal("show", pod.name, "-n", pod.namespace, lines=24, NO_COLOR="1")).splitlines()
    assert len(screen) < 24
    assert max(map(len, screen)) <= 80


#: Of the pictures: with all that the agent knows.
REAL = json.loads(KILLS.read_text())


@pytest.mark.parametrize("told", REAL, ids=[one["pod"]["metadata"]["name"] for one in REAL])
async def test_real_kills_on_one_screen(api: ApiServer, oom: Plugin, told: dict[str, Any]) -> None:
    """Of 80 columns and 40 lines, and of 24; piped, with every hint."""
    moved = at_present(from_json(told["incident"]), timedelta(minutes=12))
    event = compose(moved)
    api.put_namespace(event.namespace)
    create_event(api, CORE, event.namespace, event.body | {"count": told["count"]}, "oomeventer")
    api.put_pod(told["pod"])
    name = told["pod"]["metadata"]["name"]
    about = ("show", name, "-n", event.namespace)
    screens = [(await oom.on_terminal(*about, lines=lines, NO_COLOR="1")).splitlines() for lines in (40, 24)]
    for screen, lines in zip(screens, (40, 24), strict=True):
        assert len(screen) < lines  # the last line is the next prompt's
        assert max(map(len, screen)) <= 80
        assert screen[-1]
    done = await oom(*about)
    for hint in moved.hints:
        assert all(hint.rule in "\n".join(screen) for screen in screens)
        assert hint.text in re.sub(r"\s*\n\s*", " ", done.out)
    assert "See also" not in done.out
