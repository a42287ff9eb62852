"""What the Pod's spec says is unmasked on the path of a kill, and not before the Pod is known.

In: a kill, and its Pod in the API server's stand-in. Out: what is on disk, in the log and in the Event.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from oomeventer.agent import Agent
from oomeventer.cluster.api import Api
from oomeventer.cluster.delivery import Delivery
from oomeventer.cluster.describer import Describer
from oomeventer.cluster.pods import Pods
from oomeventer.cluster.schedule import Limits
from oomeventer.cri.resolver import Resolver
from oomeventer.hints import table
from oomeventer.hints.rule import Rule, found
from oomeventer.incident import Aftermath, Observer, Unmasking
from oomeventer.incident.events import ANNOTATION
from oomeventer.journal.journal import Journal
from oomeventer.kernel import Episode, Kill
from oomeventer.node.procfs import Procfs
from oomeventer.probes.metrics import Metrics
from oomeventer.redaction.policy import MASK, Redaction
from samples import CONTAINER_ID, NODE, UID, kill, level
from standin import ApiServer

ARGUMENTS = b"hog\0tortoise\0--mode=hare\0--password\0badger\0hunter2\0"
BEFORE = ["hog", MASK, f"--mode={MASK}", "--password", MASK, MASK]
AFTER = ["hog", "tortoise", "--mode=hare", "--password", MASK, MASK]
SECRETS = ("tortoise", "hare", "badger", "hunter2")


def pod(kind: str) -> dict[str, Any]:
    """The victim's Pod: its container, in one of the lists that a spec has, says all of its arguments."""
    words = [word.decode() for word in ARGUMENTS.split(b"\0")[:-1]]
    container = {"name": "app", "command": words[:1], "args": words[1:]}
    return {
        "metadata": {"namespace": "shop", "name": "checkout-0", "uid": UID},
        "spec": {"nodeName": NODE, "containers": [{"name": "other", "args": ["badger"]}], kind: [container]},
        "status": {f"{kind[:-1]}Statuses": [{"name": "app", "containerID": f"containerd://{CONTAINER_ID}"}]},
    }


def agent(journal: Journal, cluster: Api, observer: Observer) -> Agent:
    """All of it but the ring and the runtime."""
    nobody: Any = SimpleNamespace(free=lambda _: None, freed=lambda: None)
    unmasking = observer._unmasking
    assert unmasking
    describer = Describer(cluster, Pods(cluster, NODE), unmasking.keep_spec_words)
    metrics = Metrics()
    delivery = Delivery(cluster, journal, Limits(), metrics.delivered)
    resolver, aftermath = Resolver("none", 1), Aftermath(Procfs())
    return Agent(
        nobody, nobody, observer, journal, resolver, aftermath, describer, unmasking, delivery, metrics, nobody
    )


def watching(tmp_path: Path) -> Observer:
    return Observer(Procfs(tmp_path / "proc"), NODE, Redaction(), statistics=False, unmasking=Unmasking(Redaction()))


async def recorded(one: Agent, *episode: Kill) -> None:
    await one.record(await one.observe(episode))


async def no_episodes(stop: asyncio.Event) -> AsyncIterator[Episode]:
    await stop.wait()
    return
    yield


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
@pytest.mark.parametrize("restarted", [False, True])
async def test_the_path_of_a_word(
    api: ApiServer, cluster: Api, tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str, restarted: bool
) -> None:
    """Unmasking on disk until the Pod is known; then in the Event, what the spec says openly. After a restart nobody
    knows any more what was masked."""
    api.put_pod(pod(kind))
    observer = watching(tmp_path)
    async with Journal(tmp_path / "journal.db") as journal:
        await recorded(agent(journal, cluster, observer), kill(arguments=ARGUMENTS))
        on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))
        assert kill().cgroup.encode() in on_disk
        assert not [secret for secret in SECRETS if secret.encode() in on_disk]
        if restarted:
            observer.close()
            observer = watching(tmp_path)
        stop = asyncio.Event()
        running = asyncio.create_task(agent(journal, cluster, observer).run(no_episodes(stop), stop))
        await asyncio.wait_for(api.until(lambda: bool(api.events)), 20)
        stop.set()
        await running
    observer.close()
    (event,) = (stored.as_core() for stored in api.events.values())
    incident = json.loads(event["metadata"]["annotations"][ANNOTATION])
    assert incident["container"]["kind"] == kind
    assert incident["victims"][0]["command"] == (BEFORE if restarted else AFTER)
    assert event["message"].endswith(" ".join(BEFORE if restarted else AFTER))
    everywhere = caplog.text + json.dumps(event)
    assert not [secret for secret in ("badger", "hunter2") if secret in everywhere]


async def test_hints_of_what_is_masked(
    api: ApiServer, cluster: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Event on the Pod quotes what its spec says; the one on the Node, which others read, what is masked for it."""
    monkeypatch.setattr(table, "RULES", (Rule("loud", lambda one: found(f"ran {one.chosen.command}", "be quiet")),))
    api.put_pod(pod("containers"))
    observer = watching(tmp_path)
    async with Journal(tmp_path / "journal.db") as journal:
        of_the_node = kill(arguments=ARGUMENTS, levels=(level(inode=101), level(inode=1)))
        await recorded(agent(journal, cluster, observer), of_the_node)
        stop = asyncio.Event()
        running = asyncio.create_task(agent(journal, cluster, observer).run(no_episodes(stop), stop))
        await asyncio.wait_for(api.until(lambda: len(api.events) == 2), 20)
        stop.set()
        await running
    observer.close()
    events = {event["involvedObject"]["kind"]: event for event in (stored.as_core() for stored in api.events.values())}
    hints = {kind: json.loads(event["metadata"]["annotations"][ANNOTATION])["hints"] for kind, event in events.items()}
    assert hints["Pod"] == [{"rule": "loud", "text": f"ran {tuple(AFTER)}: be quiet", "evidence": [], "advice": None}]
    assert hints["Node"] == [{"rule": "loud", "text": f"ran {tuple(BEFORE)}: be quiet", "evidence": [], "advice": None}]
