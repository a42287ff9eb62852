"""What `run` and `trace` have in common: the first stages. In: Settings, a Tracer. Out: stages, episodes.

Rules: no Kubernetes API here: `trace` does without its client, and without the memory that it takes.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from oomeventer.cri import CriError, Resolver
from oomeventer.incident import Aftermath, Observer, Unmasking
from oomeventer.kernel import Episode, Kill, Tracer
from oomeventer.node import NodeCgroup, Procfs, taskstats_permitted
from oomeventer.settings import Settings
from oomeventer.text import printable
from oomeventer.trajectory import NOTE, Note, Trajectories

log = logging.getLogger(__name__)

#: Cgroups that are named where records were lost.
WHOSE = 5
#: How often the samples of memory are saved.
SAVE_SECONDS = 3 * 3600.0


def observer(
    settings: Settings, stack: contextlib.AsyncExitStack, unmasking: Unmasking | None = None
) -> tuple[Observer, Aftermath]:
    """The stage that makes an incident of an episode, and the one that looks again at its PID 1."""
    statistics = settings.taskstats == "auto" and taskstats_permitted()
    procfs = Procfs(cgroups=settings.cgroup_root)
    aftermath = Aftermath(procfs)
    stack.callback(aftermath.close)
    stage = Observer(procfs, settings.node_name, settings.redaction, statistics, unmasking, aftermath)
    stack.callback(stage.close)
    return stage, aftermath


async def resolver(settings: Settings, patience_seconds: float, wants_runtime: bool) -> Resolver:
    """The stage that asks the runtime. wants_runtime: say so if there is none yet."""
    root = str(settings.host_root)
    stage = Resolver(settings.cri_endpoint, settings.cri_timeout_seconds, patience_seconds, root)
    if wants_runtime and settings.cri_endpoint != "none":
        try:
            client = await stage.connect()
            log.info("runtime: %s %s", client.runtime_name, client.runtime_version)
        except CriError as e:
            log.warning(
                "no runtime yet; until there is, Pods are found by their cgroup's path alone (rbac.listPods): %s", e
            )
    return stage


async def trajectories(
    settings: Settings,
    node: NodeCgroup,
    stack: contextlib.AsyncExitStack,
    note: Note | None = None,
    most_bytes: int = 0,
) -> Trajectories | None:
    """What samples memory from now on; None where that is not wanted. note: what the journal remembers, of so many
    bytes at most."""
    if not settings.sample_seconds:
        return None
    text = await note(NOTE, None) if note else None
    root, boot_id = await asyncio.to_thread(node.root), Procfs().boot_id()
    sampling = stack.enter_context(Trajectories(root, settings.sample_seconds, boot_id, text))
    if note:
        saving = asyncio.create_task(_save(sampling, note, most_bytes))
        stack.callback(saving.cancel)
    return sampling


async def _save(sampling: Trajectories, note: Note, most_bytes: int) -> None:
    """A process that is killed does not save at its end."""
    while True:
        await asyncio.sleep(SAVE_SECONDS)
        await sampling.save(note, most_bytes)


async def episodes(
    tracer: Tracer, stop: asyncio.Event, opened: Callable[[Kill], None], lost: int = 0
) -> AsyncIterator[Episode]:
    """The tracer's episodes. opened: called with the first kill of each, at once. lost: losses that were reported
    before; what comes is, up to the end."""
    async for episode in tracer.episodes(stop, opened):
        lost = _report_losses(tracer, lost)
        yield episode
    _report_losses(tracer, lost)


def _report_losses(tracer: Tracer, reported: int) -> int:
    """Log what was lost beyond that. Returns what is reported now."""
    if (now := tracer.lost) > reported:
        log.error(
            "%d records of kills or of their arguments were lost in the kernel: its ring was full (--ring-bytes)%s",
            now - reported,
            _whose(tracer.take_losses()),
        )
    return now


def _whose(losses: dict[str | None, int]) -> str:
    """The cgroups that lost most."""
    most = sorted(losses.items(), key=lambda item: -item[1])[:WHOSE]
    named = [f"{count} of {'an unknown cgroup' if path is None else printable(path)}" for path, count in most]
    return f": {', '.join(named)}{', and others' if len(losses) > WHOSE else ''}" if named else ""
