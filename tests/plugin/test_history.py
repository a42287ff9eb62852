"""`--history`: the agents' journals, merged with the Events.

In: journals that the agent's own code wrote, read by its own `oomeventer history`; of kubectl only `exec` is another,
which runs that here. Out: lines, and what was not reached.
"""

import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from oomeventer.incident import Incident
from oomeventer.incident.events import compose
from plugin import KUBECTL, STORIES, Plugin, at_present, kubeconfig, rows
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event
from stores import opened, record

AGENT = {"app.kubernetes.io/name": "oomeventer"}


@pytest.fixture
def oom(api: ApiServer, tmp_path: Path) -> Plugin:
    """kubectl's exec reads journals/POD.db, as the agent in that Pod would; where there is none it is refused."""
    program = tmp_path / "exec"
    program.write_text(
        f"""#!/bin/sh
[ "$1" = exec ] || exec {KUBECTL} "$@"
for word; do case $word in pod/*) pod=${{word#pod/}};; --) break;; esac; done
if [ ! -e {tmp_path}/journals/$pod.db ]; then
	echo "Error from server (Forbidden): pods \\"$pod\\" is forbidden: it cannot create pods/exec" >&2; exit 1
fi
echo "$*" >>{tmp_path}/asked
since=
case "$*" in
*"-n agents pod/$pod -c oomeventer -- oomeventer history --json") ;;
*"-n agents pod/$pod -c oomeventer -- oomeventer history --json --since=21601s")
	since=--since=21601s
	[ ! -e {tmp_path}/old ] || {{ echo "command terminated with exit code 2" >&2; exit 2; }} ;;
*) echo "not so: $*" >&2; exit 1 ;;
esac
exec {sys.executable} -m oomeventer history --json $since --journal={tmp_path}/journals/$pod.db
"""
    )
    program.chmod(0o755)
    (tmp_path / "journals").mkdir()
    return Plugin(tmp_path, kubeconfig(tmp_path, api.url, api.token), str(program))


def put_agent(api: ApiServer, name: str, node: str, phase: str = "Running") -> None:
    metadata = {"name": name, "namespace": "agents", "labels": AGENT}
    spec = {"nodeName": node, "containers": [{"name": "oomeventer"}]}
    api.put_pod({"metadata": metadata, "spec": spec, "status": {"phase": phase}})


def kept(tmp_path: Path, pod: str, *incidents: Incident) -> None:
    """They are in that agent's journal."""
    with closing(opened(tmp_path / "journals" / f"{pod}.db")) as store:
        for one in incidents:
            assert record(store, one)


def leak(key: str, ago: timedelta) -> Incident:
    return at_present(replace(STORIES["leak"], key=key * 16), ago)


async def test_what_is_older_than_the_events(api: ApiServer, oom: Plugin, tmp_path: Path) -> None:
    """A kill that an Event counts is not counted twice; two agents that share a journal do not double it."""
    told = [leak("1", timedelta(hours=30)), leak("2", timedelta(hours=5)), leak("3", timedelta(minutes=12))]
    event = compose(told[2])
    api.put_namespace("shop")
    create_event(api, CORE, event.namespace, event.body, "oomeventer")
    put_agent(api, "a", "one")
    put_agent(api, "b", "one")
    kept(tmp_path, "a", *told, at_present(STORIES["tmpfs"]))
    kept(tmp_path, "b", *told)
    done = await oom("-n", "shop", "--no-headers", "--history")
    (line,) = rows(done.out)
    assert line[:3] == ["12m", "3", "checkout-7d9f-x2x4q"]
    assert done.err == ""
    assert len(rows((await oom("-A", "--no-headers", "--history")).out)) == 2
    (recent,) = rows((await oom("-n", "shop", "--no-headers", "--history", "--since", "6h")).out)
    assert recent[1] == "2"


async def test_since_goes_to_the_agents(api: ApiServer, oom: Plugin, tmp_path: Path) -> None:
    """An older one, which does not know it, sends all when it is asked again."""
    put_agent(api, "a", "one")
    kept(tmp_path, "a", leak("1", timedelta(hours=30)), leak("2", timedelta(hours=5)))
    for asked in (1, 2):
        (line,) = rows((await oom("-n", "shop", "--no-headers", "--history", "--since", "6h")).out)
        assert line[1] == "1"
        assert len((tmp_path / "asked").read_text().splitlines()) == asked
        (tmp_path / "asked").unlink()
        (tmp_path / "old").touch()


async def test_events_that_are_gone(api: ApiServer, oom: Plugin, tmp_path: Path) -> None:
    """show has the whole story, and marks the kills before."""
    put_agent(api, "a", "one")
    kept(tmp_path, "a", leak("1", timedelta(hours=8)), leak("2", timedelta(hours=5)))
    out = (await oom("show", "checkout-7d9f-x2x4q", "-n", "shop", "--history")).out
    assert "java (pid 1 in the container" in out
    assert "(x: before)" in out


async def test_what_was_not_reached_is_said(api: ApiServer, oom: Plugin, tmp_path: Path) -> None:
    put_agent(api, "a", "one")
    put_agent(api, "b", "two")
    put_agent(api, "c", "three", "Pending")
    kept(tmp_path, "a", leak("1", timedelta(hours=5)))
    done = await oom("-n", "shop", "--no-headers", "--history")
    assert len(rows(done.out)) == 1
    assert done.status == 0
    assert "journals of two were not read: you may not exec into the agents' Pods" in done.err
    assert "journals of three were not read: the agent is not running" in done.err


async def test_no_agent(api: ApiServer, oom: Plugin) -> None:
    done = await oom("-n", "shop", "--history")
    assert "no journal was read: there is no Pod with the labels app.kubernetes.io/name=oomeventer" in done.err
