"""What the first screen costs: `kubectl oom -A` with 5,000 Events on the stand-in, in figures (make bench-plugin).

In: build/kubectl-oom. Out: lines. The stand-in is a process of its own; its share of the time is told apart by what a
`kubectl get --raw` of the same list takes.
"""

import asyncio
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from msgspec.structs import replace

from machine.process import peak_mib
from oomeventer.incident.events import compose
from places import REPOSITORY
from standin import ApiServer
from standin.event import CORE
from standin.handlers import create_event

from .running import kubeconfig, shim, tls
from .stories import STORIES, at_present

EVENTS = 5000
ROUNDS = 5
ZIPAPP = REPOSITORY / "build" / "kubectl-oom"


def serve(directory: Path, ready: Connection) -> None:
    """The stand-in with its Events, until this process is ended."""
    asyncio.run(_serve(directory, ready))


async def _serve(directory: Path, ready: Connection) -> None:
    async with ApiServer(tls=tls(directory)) as api:
        stories, size = list(STORIES.values()), 0
        for number in range(EVENTS):
            told = at_present(stories[number % len(stories)], timedelta(seconds=number))
            assert told.pod
            pod = replace(
                told.pod, name=f"{told.pod.name}-{number:05}", uid=f"{number:08x}-8446-4fbf-be5d-2b4fd7e73508"
            )
            event = compose(replace(told, pod=pod, key=f"{number:016x}"))
            api.put_namespace(event.namespace)
            size += len(json.dumps(create_event(api, CORE, event.namespace, event.body, "oomeventer")))
        ready.send((api.url, api.token, size))
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Run:
    """seconds: of the clock; cpu_seconds: of it and all that it started; peak_mib: in it alone; lines: printed."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    lines: int


def run(*command: str, **environ: str) -> Run:
    """Run it to its end."""
    began, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, stdout=out, env=os.environ | environ)
        while True:
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            with suppress(OSError, StopIteration):
                peak = peak_mib(process.pid)  # of what it is now: kubectl becomes the plugin
            time.sleep(0.005)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{command} failed")
        out.seek(0)
        return Run(seconds, used.ru_utime + used.ru_stime, peak, sum(1 for _ in out))


def main() -> None:
    """Measure, and print."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        ours, theirs = multiprocessing.Pipe()
        server = multiprocessing.Process(target=serve, args=(directory, theirs), daemon=True)
        server.start()
        url, token, size = ours.recv()
        config = {"KUBECONFIG": str(kubeconfig(directory, url, token))}
        programs = shim(directory / "programs", "kubectl-oom", f"{sys.executable} {ZIPAPP}").parent
        config["PATH"] = f"{programs}:{os.environ['PATH']}"
        print(f"{EVENTS} Events, {size / 2**20:.0f} MiB of JSON; {ROUNDS} rounds: median (least to most)")
        raw = ("kubectl", "get", "--raw", "/api/v1/events?fieldSelector=reason%3DOOMKilled")
        listing = [run(*raw, **config) for _ in range(ROUNDS)]
        print(f"{'kubectl get --raw, one page of all:':<36} {_said([one.seconds for one in listing])} s")
        for words in ((), ("-o", "wide"), ("-o", "json"), ("top",)):
            runs = [run("kubectl", "oom", *words, "-A", **config) for _ in range(ROUNDS)]
            title = f"kubectl oom {' '.join((*words, '-A'))}:"
            cpu = _said([one.cpu_seconds for one in runs])
            print(
                f"{title:<36} {_said([one.seconds for one in runs])} s, CPU {cpu} s, "
                f"at most {max(one.peak_mib for one in runs):.0f} MiB resident, {runs[0].lines} lines"
            )
        server.terminate()


def _said(figures: list[float]) -> str:
    return f"{statistics.median(figures):.2f} ({min(figures):.2f} to {max(figures):.2f})"


if __name__ == "__main__":
    main()
