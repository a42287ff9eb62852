"""`PYTHONPATH=tests/support python -m bench.bare URL TOKEN DIRECTORY KILLS PAUSE_SECONDS`: what a kill's I/O takes by
itself, by the libraries that the agent uses, with nothing around it. Out: seconds of CPU for a kill, on stdout.

Rules: as much as the agent does for a kill with a request of its own, and in its order: files are read in two threads,
three transactions are written in a third, a Pod is asked for, an Event is sent. What is written and sent is made
before.
"""

import asyncio
import resource
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec
import uvloop
from msgspec.structs import replace

from oomeventer.incident import compose
from oomeventer.incident.codec import encode
from oomeventer.threads import Threads
from pods import NODE
from samples import POD, incident

#: So many are read by each of the two threads, as of a cgroup and of /proc.
FILES = ("/proc/self/status", "/proc/self/cgroup", "/proc/self/stat", "/proc/meminfo", "/proc/loadavg", "/proc/vmstat")
WARM = 5
#: Of the bench's Pods.
NAMESPACE = "bench"


class Journal:
    """A table of incidents and one of requests, in a thread."""

    def __init__(self, file: Path) -> None:
        self._thread = Threads("bare-journal")
        self._row = encode(incident())
        self._file = file

    def open(self) -> None:
        self._db = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE incidents (id INTEGER PRIMARY KEY, state TEXT, json TEXT)")
        self._db.execute("CREATE TABLE requests (id INTEGER PRIMARY KEY, json TEXT)")

    def record(self, number: int) -> None:
        self._write(("INSERT INTO incidents VALUES (?, 'recorded', ?)", (number, self._row)))

    def describe(self, number: int) -> None:
        self._write(
            ("UPDATE incidents SET state = 'described', json = ? WHERE id = ?", (self._row, number)),
            ("INSERT INTO requests VALUES (?, ?)", (number, self._row)),
        )

    def settle(self, number: int) -> None:
        self._write(
            ("DELETE FROM requests WHERE id = ?", (number,)),
            ("UPDATE incidents SET state = 'told' WHERE id = ?", (number,)),
        )

    async def call(self, work: Callable[..., None], *arguments: int) -> None:
        await self._thread.call(work, *arguments)

    def _write(self, *statements: tuple[str, tuple[Any, ...]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        for statement, values in statements:
            self._db.execute(statement, values)
        self._db.execute("COMMIT")


def read() -> None:
    for file in FILES:
        with open(file, "rb", buffering=0) as opened:
            opened.read()


async def bare(url: str, token: str, directory: Path, kills: int, pause_seconds: float) -> float:
    """Seconds of CPU for one."""
    looks = Threads("bare-glance"), Threads("bare-observe")
    journal = Journal(directory / "bare.db")
    await journal.call(journal.open)
    event = compose(incident(pod=replace(POD, namespace=NAMESPACE))).body
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    events = f"{url}/api/v1/namespaces/{NAMESPACE}/events"
    began = 0.0
    async with aiohttp.ClientSession(headers=headers) as session:
        for number in range(WARM + kills):
            if number == WARM:
                began = _cpu_seconds()
            body = msgspec.json.encode({**event, "metadata": {**event["metadata"], "name": f"bare-{uuid4()}"}})
            await asyncio.sleep(pause_seconds)
            await asyncio.wait([look.call(read) for look in looks])
            await journal.call(journal.record, number)
            async with session.get(f"{url}/api/v1/pods?fieldSelector=spec.nodeName%3D{NODE}&limit=50") as answer:
                await answer.read()
            await journal.call(journal.describe, number)
            async with session.post(events, data=body) as answer:
                answer.raise_for_status()
                await answer.read()
            await journal.call(journal.settle, number)
    return (_cpu_seconds() - began) / kills


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    _, its_url, its_token, its_directory, its_kills, its_pause = sys.argv
    print(uvloop.run(bare(its_url, its_token, Path(its_directory), int(its_kills), float(its_pause))))
