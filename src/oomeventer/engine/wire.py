"""One request on one connection. In: a Socket, a request's path. Out: the JSON object that was answered, None for 404.
Whatever goes wrong is an EngineError.

Rules: whoever answers may be a user (rootless), so all that is read is bounded, headers and what they announce
included, and all of it has one deadline; nothing is followed and nothing is unpacked. http.client reads what was
received once it is complete.
"""

import asyncio
import contextlib
import http.client
import io
import json
from typing import Any

from oomeventer.engine.errors import EngineError
from oomeventer.engine.sockets import Socket, opened
from oomeventer.text import printable

#: No container's description is as large. A user's may be so large:
ANSWER_BYTES, USER_BYTES = 4 << 20, 256 << 10
_CHUNK_BYTES = 64 << 10
_LONGEST = 200


async def get(socket: Socket, path: str, timeout_seconds: float) -> dict[str, Any] | None:
    """GET it from the engine that listens there. Raises EngineError, which names the socket and what is wrong."""
    most = ANSWER_BYTES if socket.uid is None else USER_BYTES
    try:
        async with asyncio.timeout(timeout_seconds):
            with opened(socket) as place:
                raw = await _exchange(place, path, most)
    except TimeoutError as e:
        raise EngineError(f"{socket}: no answer within {timeout_seconds:g} s") from e
    except OSError as e:
        raise EngineError(f"{socket}: {_explain(e)}") from e
    if len(raw) > most:
        raise EngineError(f"{socket}: an answer of more than {most} bytes")
    try:
        status, body = _read(raw)
        found = json.loads(body) if status == 200 else {}
    except Exception as e:  # http.client and json foresee less than what can be sent (OverflowError, RecursionError)
        text = printable(f"{type(e).__name__}: {e}", _LONGEST)
        raise EngineError(f"{socket}: its answer is no JSON object over HTTP ({text})") from e
    if status == 404:
        return None
    if status != 200:
        raise EngineError(f"{socket}: it answers {status}")
    if not isinstance(found, dict):
        raise EngineError(f"{socket}: its answer is no JSON object")
    return found


async def _exchange(place: str, path: str, most: int) -> bytes:
    """All that it answers until it closes the connection, or one byte more than most."""
    reader, writer = await asyncio.open_unix_connection(place, limit=_CHUNK_BYTES)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        raw = bytearray()
        while len(raw) <= most and (more := await reader.read(min(_CHUNK_BYTES, most + 1 - len(raw)))):
            raw += more
        return bytes(raw)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            writer.transport.abort()


class _Received(io.BytesIO):
    """What http.client takes for a connection."""

    def makefile(self, _mode: str) -> io.BytesIO:
        return self


def _read(raw: bytes) -> tuple[int, bytes]:
    answer = http.client.HTTPResponse(_Received(raw))  # type: ignore[arg-type]
    answer.begin()
    return answer.status, answer.read()


def _explain(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "no such file"
        case ConnectionRefusedError():
            return "nothing listens on it"
        case PermissionError():
            return "permission denied"
        case NotADirectoryError():
            return "not a directory on the way, or a link, which is not followed in a user's directory"
        case _:
            return error.strerror or type(error).__name__
