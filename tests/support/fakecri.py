"""A gRPC server that speaks CRI and answers what no runtime should. In: an answer for each method. Out: bytes."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from grpclib import GRPCError
from grpclib.const import Cardinality, Handler
from grpclib.encoding.base import CodecBase
from grpclib.server import Server, Stream

from oomeventer.cri._cri.runtime import v1

Answer = bytes | GRPCError | Callable[[bytes], bytes | GRPCError | Awaitable[bytes] | None]


class Bytes(CodecBase):
    """Messages as they are on the wire, so that a server can send what no generated class would."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: object) -> bytes:
        return message

    def decode(self, data: bytes, message_type: object) -> bytes:
        return data


class Service:
    """A RuntimeService with one prepared answer for each method."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self._answers = answers

    def __mapping__(self) -> dict[str, Handler]:
        def handler(answer: Answer) -> Callable[[Stream[bytes, bytes]], Awaitable[None]]:
            async def handle(stream: Stream[bytes, bytes]) -> None:
                request = await stream.recv_message()
                given = answer(request) if callable(answer) else answer
                if isinstance(given, Awaitable):
                    given = await given
                if isinstance(given, GRPCError):
                    raise given
                await stream.send_message(given)

            return handle

        return {
            f"/runtime.v1.RuntimeService/{method}": Handler(handler(answer), Cardinality.UNARY_UNARY, bytes, bytes)
            for method, answer in self._answers.items()
        }


def version() -> bytes:
    return bytes(v1.VersionResponse(runtime_name="fake", runtime_version="1.2.3"))


@asynccontextmanager
async def grpc_server(path: Path, answers: dict[str, Answer]) -> AsyncIterator[None]:
    server = Server([Service(answers)], codec=Bytes())
    await server.start(path=str(path))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
