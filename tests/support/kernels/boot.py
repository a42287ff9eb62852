"""Boots a guest: the guest's program plays its cases, and what it tells is taken.

In: a Guest (kernel, cgroup version, processors), the cases wanted. Out: a Run. Rules: one guest at a time
on a machine (a lock file says so); everything is bounded; QEMU is ended by its own process; the console's log stays in
.cache/kernels/log. A boot that never reached user space is tried once more, and so is one whose kernel says that all
its processors stood still, as under emulation they do once in a long while; the Run says so. A guest that stops
speaking for another reason is a failure, with the console's last lines. A kernel that cannot be had is one, too.
"""

import asyncio
import contextlib
import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernels.guest import Guest, command
from kernels.packages import CACHE, PackageError

BOOT_SECONDS, SILENCE_SECONDS, RUN_SECONDS = 90.0, 120.0, 600.0
TAIL = 30


@dataclass
class Run:
    """What a guest reported. error: why it did not come to its end, None where it did. notes: what is worth knowing."""

    guest: Guest
    hello: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)
    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    end: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    notes: list[str] = field(default_factory=list)

    def reported(self) -> dict[str, Any]:
        """All that it reported, for a person to look at."""
        return {name: getattr(self, name) for name in ("hello", "agent", "cases", "end", "seconds", "error", "notes")}

    def take(self, fact: dict[str, Any]) -> None:
        """One line from the guest."""
        if "kernel" in fact:
            self.hello = fact
        elif "watching" in fact:
            self.agent = fact
        elif "case" in fact:
            self.cases[fact["case"]] = fact
        elif "stopped" in fact:
            self.end = fact


async def run(guest: Guest, cases: tuple[str, ...] = ()) -> Run:
    """Boot it and play the cases, all that it can where none is named."""
    emulator = guest.architecture.emulator[0]
    if not shutil.which(emulator):
        raise FileNotFoundError(f"{emulator} is missing (Debian: {guest.architecture.package})")
    log = CACHE / "log" / f"{guest.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with _alone():
        try:
            qemu = command(guest, cases, log)
        except PackageError as e:
            return Run(guest, error=str(e))
        result = await _boot(qemu, Run(guest), log)
        if why := _emulators_fault(result, log):
            shutil.copy(log, log.with_suffix(".first.log"))
            notes = [f"booted again, since {why}: {result.error}"]
            result = await _boot(qemu, Run(guest, notes=notes), log)
        (CACHE / "log" / f"{guest.name}.json").write_text(json.dumps(result.reported(), indent=1))
    return result


def _emulators_fault(result: Run, log: Path) -> str | None:
    """Why it is to be tried again; None where it is not."""
    if not result.error:
        return None
    if not result.hello:
        return "the first boot never reached user space"
    stuck = set(re.findall(r"soft lockup - CPU#(\d+) stuck", log.read_text(errors="replace")))
    return "all its processors stood still" if len(stuck) == result.guest.cpus else None


async def _boot(qemu: list[str], result: Run, log: Path) -> Run:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *qemu, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )  # fmt: skip
    assert process.stdout
    assert process.stderr
    try:
        async with asyncio.timeout(RUN_SECONDS):
            while line := await asyncio.wait_for(
                process.stdout.readline(), SILENCE_SECONDS if result.hello else BOOT_SECONDS
            ):
                result.take(json.loads(line))
        await asyncio.wait_for(process.wait(), 20)
        why = f"it ended, QEMU with {process.returncode}: {(await process.stderr.read()).decode().strip()}"
    except TimeoutError:
        why = f"it was silent for too long, or not done, after {time.monotonic() - began:.0f} s"
    except json.JSONDecodeError as e:
        why = f"it spoke nonsense: {e.doc[:200]!r}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    result.seconds = time.monotonic() - began
    if not result.end:
        tail = log.read_text(errors="replace").splitlines()[-TAIL:] if log.exists() else []
        result.error = f"{result.guest.name}: {why}\n{log}:\n" + "\n".join(tail)
    return result


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One guest at a time, whoever starts it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
