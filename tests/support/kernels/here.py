"""A guest's cases on this machine itself, without a guest. In: the cases wanted, the victim's program. Out: Cases.

Rules: only cases whose own cgroup runs out, never the machine; all cgroups are below one of their own, mounts in a
namespace of their own. The machine's log is others', too: a case whose report the kernel kept back is played again.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from kernels.inside import UNIFIED
from kernels.reported import Case
from machine.cgroup import hierarchy
from places import REPOSITORY

#: What can be played here.
CASES = (
    *("limit_lowered", "init_wrapper", "tmpfs_own", "tmpfs_left_behind", "page_cache", "pipes", "sockets", "tcp"),
    *("page_tables", "pipes_of_victim", "page_tables_of_victim", "pool", "other_container"),
)
_TIMES, _SECONDS, _LOG_SECONDS = 5, 300, 5.5


def possible() -> list[str]:
    """The cases that this machine's kind of cgroups can have."""
    v1 = hierarchy().name == "memory"
    return [name for name in CASES if not (v1 and name in UNIFIED)]


def play(program: Path, scratch: Path) -> dict[str, Case]:
    """All that are possible."""
    found: dict[str, Case] = {}
    for _ in range(_TIMES):
        if wanted := [name for name in possible() if name not in found or not found[name].told()]:
            time.sleep(_LOG_SECONDS)  # after so long the kernel prints ten reports again
            found |= _play(program, scratch, wanted)
    return found


def _play(program: Path, scratch: Path, cases: list[str]) -> dict[str, Case]:
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}/tests/support/kernels",
        "CASES": ",".join(cases),
        "BELOW": f"/oomeventer-test-{os.getpid()}-here",
        "SCRATCH": str(scratch),
        "VICTIM": str(program),
    }
    command = ["unshare", "--mount", sys.executable, "-m", "inside"]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=_SECONDS, check=True)
    facts = [json.loads(line) for line in done.stdout.splitlines()]
    hello = next(fact for fact in facts if "kernel" in fact)
    return {fact["case"]: Case(fact, hello, alone=False) for fact in facts if "case" in fact}
