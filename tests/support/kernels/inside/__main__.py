"""The guest's program: each case in turn, one line of JSON each on standard output.

In: from the environment, CASES, a comma-separated list (none: all that are possible); on a machine that is no guest
(here.py) BELOW, a cgroup of its own, SCRATCH, a directory, and VICTIM, the program. Out: first who this kernel is, then
the cases, then how the agent ended. Rules: a case that breaks says so and the next one goes on.
"""

import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from inside.cases import CASES, Case
from inside.cgroups import UNIFIED
from inside.stage import Stage
from inside.witness import Agent, spare


def main() -> None:
    """Run the cases."""
    spare(os.getpid())
    nodes = sum(name.name[4:].isdigit() for name in Path("/sys/devices/system/node").glob("node*"))
    wanted = os.environ.get("CASES", "").split(",")
    _tell(kernel=os.uname().release, layout=_layout(), cpus=os.cpu_count(), nodes=nodes, unified=UNIFIED)
    began = time.monotonic()
    agent = Agent()
    watching = agent.wait()
    _tell(watching=watching, start_seconds=round(time.monotonic() - began, 1), log=[] if watching else agent.log)
    for name, case in CASES.items() if watching else ():
        if case.possible(nodes) and (name in wanted or wanted == [""]):
            _play(name, case, agent)
    _tell(stopped=agent.stop(), log=agent.log, surplus=agent.incidents(0, 0, 0.1))


def _layout() -> str:
    """What the tracepoint tells, by its description."""
    try:
        fields = Path("/sys/kernel/tracing/events/oom/mark_victim/format").read_text()
    except OSError as e:  # lockdown hides it
        return str(e.strerror)
    return "wide" if "total_vm" in fields else "pid only"


def _play(name: str, case: Case, agent: Agent) -> None:
    began = time.monotonic()
    with Stage(agent) as stage:
        broken = None
        try:
            case.play(stage)
        except Exception:  # reported to the host, where the test fails
            broken = traceback.format_exc()
        seen = stage.seen()
    _tell(case=name, broken=broken, seconds=round(time.monotonic() - began, 1), **seen)


def _tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    sys.exit(main())
