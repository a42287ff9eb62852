"""`-w`: each further kill once, whatever becomes of the watch.

In: Events as they are written. Out: lines as they come.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from oomeventer.incident.events import compose
from plugin import STORIES, Plugin, at_present, put
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event, patch_event


@asynccontextmanager
async def watching(oom: Plugin, *words: str) -> AsyncIterator[asyncio.StreamReader]:
    """What is printed while it watches."""
    process = await oom.start("-n", "shop", "-w", "--no-headers", "-o", "name", *words)
    assert process.stdout
    try:
        yield process.stdout
    finally:
        process.terminate()
        rest, said = await process.communicate()
        assert process.returncode == 143
        assert rest == b""
        assert b"Traceback" not in said


async def line(out: asyncio.StreamReader) -> str:
    return (await asyncio.wait_for(out.readline(), 60)).decode().strip()


async def watched(api: ApiServer) -> None:
    """Wait until the watch of Pods' Events is there once more."""
    seen = len(api.requests)
    await asyncio.wait_for(api.until(lambda: any("watch" in one.query for one in api.requests[seen:])), 60)


async def test_what_comes_later_is_one_line_each(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    async with watching(oom) as out:
        watch = asyncio.create_task(watched(api))
        assert await line(out) == "pod/checkout-7d9f-x2x4q"
        await watch
        put(api, "spike")
        await api.notify()
        assert await line(out) == "pod/thumbs-0"
        ((_, name),) = [key for key in api.events if "thumbs" in key[1]]
        patch_event(api, CORE, "shop", name, {"count": 2}, "oomeventer")
        patch_event(api, CORE, "shop", name, {"metadata": {"labels": {"seen": "yes"}}}, "somebody")
        put(api, "group")
        await api.notify()
        assert [await line(out), await line(out)] == ["pod/thumbs-0", "pod/api-6f7c-abcde"]


async def test_a_watch_that_is_too_old_begins_anew_without_doubling(api: ApiServer, oom: Plugin) -> None:
    put(api, "leak")
    async with watching(oom) as out:
        watch = asyncio.create_task(watched(api))
        await line(out)
        await watch
        again = asyncio.create_task(watched(api))
        told = at_present(replace(STORIES["spike"], key="c" * 16))
        event = compose(told)
        create_event(api, CORE, "shop", event.body, "oomeventer")
        api.compacted = api.revision + 1  # the watch ends, and from where it was none can begin
        await api.notify()
        assert await line(out) == "pod/thumbs-0"
        await again
        api.compacted = 0
        put(api, "group")
        await api.notify()
        assert await line(out) == "pod/api-6f7c-abcde"


async def test_filters_hold_for_what_comes_later(api: ApiServer, oom: Plugin) -> None:
    async with watching(oom, "--owner", "deploy/api") as out:
        await watched(api)
        put(api, "spike", "group")
        await api.notify()
        assert await line(out) == "pod/api-6f7c-abcde"
