"""`python -m faults.fed MEMBERS run ...`: the agent, which finds a group kill of so many in its ring when it starts.

Rules: the agent is the shipped one; only the ring's reader is wrapped. Each record has all the text that one has room
for, in as many arguments and variables as that holds: it is more than the kernel's side would let into a ring.
"""

import sys
from collections.abc import Iterator

from oomeventer.cli import main
from oomeventer.kernel import record
from oomeventer.kernel.ring import Ring
from samples import raw_arguments, raw_mark

ARGUMENTS = b"a\0" * 2048
ENVIRONMENT = b"".join(b"V%04d=x\0" % number for number in range(1024))
#: Pids from here on are nobody's: above the kernel's PID_MAX_LIMIT.
_FIRST = 1 << 22
UID, CONTAINER = "6a25d7b1-8446-4fbf-be5d-2b4fd7e73508", "3f" * 32
_PATH = (CONTAINER.encode(), f"pod{UID}".encode(), b"kubepods")
_FLAGS = record.DOMAIN_KNOWN | record.TRIGGER_SAME_CGROUP | record.UNIFIED


def group(members: int) -> Iterator[bytes]:
    """Their records: each one's mark, and at last that of the trigger's own SIGKILL. The trigger is the first."""
    trigger = {"trigger_tgid": _FIRST, "trigger_tid": _FIRST, "trigger_start_ns": 7}
    limited = record.RawLevel(inode=2, usage_pages=2048, limit_pages=2048, ooms=1, flags=record.LEVEL_GROUP)
    levels = (limited, record.RawLevel(inode=1, limit_pages=record.NO_LIMIT_PAGES))
    for number in range(members):
        process = {"tgid": _FIRST + number, "tid": _FIRST + number, "ns_tgid": number + 1, "start_ns": 7}
        more = {"comm": b"member", "flags": _FLAGS, "domain_inode": 2, "anon_pages": 100, "time_ns": number}
        yield raw_mark(_PATH, (), ARGUMENTS, ENVIRONMENT, levels, **process, **more, **trigger)
    yield raw_arguments(ARGUMENTS, ENVIRONMENT, tgid=_FIRST, start_ns=7)


def feed(members: int) -> None:
    """The first that is read of a ring are those records; the positions that they have are not the ring's."""
    read = Ring.read
    fed = iter([group(members)])

    def first(ring: Ring) -> list[tuple[int, bytes]]:
        records = next(fed, iter(()))
        return [(-1 - number, raw) for number, raw in enumerate(records)] + read(ring)

    setattr(Ring, "read", first)  # noqa: B010


if __name__ == "__main__":
    feed(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
