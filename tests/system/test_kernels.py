"""Real kernels, booted under emulation: the shipped object and agent meet every way in which these kernels kill.

In: KERNELS, a comma-separated list of names from kernels/kernel.py (or of guests from kernels/guest.py), or
"all"; without it, one kernel of each layout. CASES, names from kernels/inside: those alone. What can be wrong with a
run as a whole is test_agent's; each case is a test of its own, and .cache/kernels/table.md says it all in one table.
"""

import os
from collections.abc import Awaitable, Callable, Iterator

import pytest

from kernels import table
from kernels.boot import Run, run
from kernels.compare import problems
from kernels.guest import GUESTS, LOCKED_DOWN, Guest
from kernels.inside import NAMES, NUMA, UNIFIED
from kernels.reported import Case

pytestmark = pytest.mark.guest

DEFAULT = "5.10-v2,6.12-v2"
#: None: all.
CASES = tuple(filter(None, os.environ.get("CASES", "").split(",")))


def chosen() -> list[Guest]:
    wanted = (os.environ.get("KERNELS") or DEFAULT).split(",")
    known = {name for guest in GUESTS for name in (guest.name, guest.kernel.name)}
    if unknown := set(wanted) - known - {"all"}:
        raise pytest.UsageError(f"KERNELS: no {', '.join(sorted(unknown))}; there are all, {', '.join(sorted(known))}")
    return [guest for guest in GUESTS if {"all", guest.name, guest.kernel.name} & set(wanted)]


def possible(guest: Guest) -> list[str]:
    return [
        name
        for name in CASES or NAMES
        if (guest.cgroup == "v2" or name not in UNIFIED) and (guest.numa or name not in NUMA)
    ]


Booted = Callable[[Guest], Awaitable[Run]]


@pytest.fixture(scope="session")
def booted() -> Iterator[Booted]:
    """Boots a guest once, and remembers what it reported."""
    runs: dict[Guest, Run] = {}

    async def boot(guest: Guest) -> Run:
        if guest not in runs:
            runs[guest] = await run(guest, CASES)
            print("\n".join([f"{guest.name}: {runs[guest].seconds:.0f} s", *runs[guest].notes]))
        return runs[guest]

    yield boot
    if runs:
        table.write(runs.values())


@pytest.mark.parametrize("guest", [pytest.param(guest, id=guest.name) for guest in chosen()])
async def test_agent(guest: Guest, booted: Booted) -> None:
    """It loads and attaches, watches, says nothing alarming, reports nothing that did not happen, and stops."""
    reported = await booted(guest)
    assert reported.error is None, reported.error
    assert reported.hello["layout"] == guest.kernel.layout
    assert reported.hello["unified"] == (guest.cgroup == "v2")
    assert reported.hello["cpus"] == guest.cpus
    assert reported.agent["watching"], "\n".join(reported.agent["log"])
    assert reported.end["stopped"] == 0
    assert reported.end["surplus"] == []
    assert not [line for line in reported.end["log"] if " ERROR " in line or "Traceback" in line]


@pytest.mark.skipif(os.environ.get("KERNELS") != "all", reason="KERNELS=all (make test-kernels) boots it")
async def test_locked_down() -> None:
    """A kernel that is locked down for confidentiality gets one clear sentence."""
    reported = await run(LOCKED_DOWN)
    assert reported.hello, reported.error
    assert not reported.agent["watching"]
    assert any("this kernel is locked down for confidentiality" in line for line in reported.agent["log"]), (
        reported.agent
    )


@pytest.mark.parametrize(
    ("guest", "case"),
    [pytest.param(guest, case, id=f"{guest.name}-{case}") for guest in chosen() for case in possible(guest)],
)
async def test_case(guest: Guest, case: str, booted: Booted) -> None:
    """What the agent reports is what the kernel says."""
    reported = await booted(guest)
    assert case in reported.cases, f"the guest did not come to it: {reported.error or reported.agent}"
    found = problems(Case(reported.cases[case], reported.hello))
    assert not found, "\n".join(found)
