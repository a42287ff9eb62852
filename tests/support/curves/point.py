"""`python -m curves.point LINE AMOUNT`: one point. Out: JSON, CPU and memory.

CPU: of this process, all its threads; the median of blocks of kills, after some that warm it up. Memory: resident at
the end, and the most there was."""

import asyncio
import dataclasses
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from curves.filled import fill
from curves.lines import LINES, NAMESPACE, Amount
from curves.node import Node
from curves.runtime import NAMESPACE as OWN
from curves.whole import NODE, Whole
from machine import build, kubeconfig
from machine.process import peak_mib, resident_mib

WARM_UP, BLOCKS, KILLS = 20, 6, 20
_JOURNAL_BYTES = 1 << 30


async def measured(amount: Amount, directory: Path, stack: ExitStack) -> dict[str, Any]:
    """The point."""
    node = Node(stack, amount, build(directory))
    runtime = directory / "runtime.sock"
    _beside(stack, ("curves.runtime", str(runtime)), [node.containers])
    url, token = _beside(stack, ("fleet.standing",), _pods(amount, node)).split()
    config = str(kubeconfig(directory, url, token))
    journal = directory / "journal" / "journal.db"
    given = node, journal, config, f"unix://{runtime}", _JOURNAL_BYTES
    if amount.incidents:
        async with Whole(*given) as agent:
            for _ in range(WARM_UP):
                await agent.kill()
        fill(journal, amount.incidents)
    blocks = []
    async with Whole(*given) as agent:
        for _ in range(WARM_UP):
            await agent.kill()
        for _ in range(BLOCKS):
            before, began = time.process_time(), time.monotonic()
            for _ in range(KILLS):
                await agent.kill()
            blocks.append(((time.process_time() - before) / KILLS, (time.monotonic() - began) / KILLS))
    cpu, took = (statistics.median(column) for column in zip(*blocks, strict=True))
    memory = resident_mib(os.getpid()), peak_mib(os.getpid())
    return {"cpu_ms": round(cpu * 1e3, 2), "took_ms": round(took * 1e3, 1), "mib": [round(one, 1) for one in memory]}


def _pods(amount: Amount, node: Node) -> Iterator[dict[str, Any]]:
    """For the stand-in: the node's, and those of others."""
    for name, uid in node.containers.values():
        yield _pod(OWN, name, uid, NODE)
    for number in range(amount.cluster - len(node.containers)):
        yield _pod(f"ns-{number // NAMESPACE}", f"web-{number}", str(uuid.uuid4()), f"node-{number % 100}")


def _pod(namespace: str, name: str, uid: str, node: str) -> dict[str, Any]:
    container = {"name": "app", "image": "registry.example/app:1", "resources": {"limits": {"memory": "32Mi"}}}
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [container]},
        "uid": (namespace, uid),
    }


def _beside(stack: ExitStack, program: tuple[str, ...], given: Iterable[Any]) -> str:
    """Start a part in a process of its own. Returns its first line."""
    process = subprocess.Popen(
        (sys.executable, "-m", *program), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    stack.callback(process.wait)
    stack.callback(process.kill)
    assert process.stdin
    assert process.stdout
    process.stdin.writelines(f"{json.dumps(one)}\n" for one in given)
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def main(name: str, amount: int) -> None:
    """Print it."""
    logging.disable(logging.CRITICAL)
    line = next(line for line in LINES if line.name == name)
    at = line.at(amount)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oomeventer-curve-")))
        print(json.dumps(asyncio.run(measured(at, directory, stack)) | {"amount": amount} | dataclasses.asdict(at)))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
