"""One request on one connection: where aiohttp's exceptions become EngineError.

In: a socket's path, a request's. Out: the JSON object that was answered, None for 404.
"""

import asyncio
import json
from typing import Any

import aiohttp

from oomeventer.engine.errors import EngineError

#: No container's description is as large.
ANSWER_BYTES = 4 << 20


async def get(socket: str, path: str, timeout_seconds: float) -> dict[str, Any] | None:
    """GET it from the engine that listens there. Raises EngineError, which names the socket and what is wrong."""
    try:
        async with (
            asyncio.timeout(timeout_seconds),
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket)) as session,
            session.get(f"http://localhost{path}", allow_redirects=False) as answer,
        ):
            if answer.status == 404:
                return None
            raw = await answer.content.read(ANSWER_BYTES + 1)
            while len(raw) <= ANSWER_BYTES and (more := await answer.content.read(ANSWER_BYTES)):
                raw += more
            if answer.status != 200:
                raise EngineError(f"{socket}: it answers {answer.status}")
    except TimeoutError as e:
        raise EngineError(f"{socket}: no answer within {timeout_seconds:g} s") from e
    except (aiohttp.ClientError, OSError) as e:
        raise EngineError(f"{socket}: {e}") from e
    try:
        found = json.loads(raw) if len(raw) <= ANSWER_BYTES else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise EngineError(f"{socket}: its answer is no JSON object of at most {ANSWER_BYTES} bytes")
    return found
