"""The plugin's word for what filled the memory is the agent's own, which it cannot import.

In: generated incidents, and their JSON. Out: both answers.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kubectl_oom import why as ours
from kubectl_oom.reading import parsed
from oomeventer.incident import Incident, Neighbour
from oomeventer.incident.codec import encode
from oomeventer.incident.memory import Memory
from oomeventer.incident.why import shares, why
from samples import incident, victim

#: Few sizes, so that shares are often equal, or nothing.
SIZES = st.sampled_from([0, 1, 4096, 8192]) | st.integers(0, 1 << 40)
KNOWN = ("anon_bytes", "file_bytes", "shmem_bytes")
KINDS = ("kernel", "sock", "pagetables", "slab_unreclaimable", "slab_reclaimable", "stack", "percpu")
PARTS = st.sampled_from(
    [
        "kubepods",
        "kubepods.slice",
        "burstable",
        "besteffort",
        "kubepods-burstable.slice",
        "kubepods-besteffort.slice",
        "kubelet-kubepods.slice",
        "system.slice",
        "pod6a25d7b1-8446-4fbf-be5d-2b4fd7e73508",
        "kubepods-burstable-pod6a25d7b1_8446_4fbf_be5d_2b4fd7e73508.slice",
        "docker",
        f"cri-containerd-{'3f' * 32}.scope",
        "3f" * 32,
    ]
)


CGROUPS = st.none() | st.lists(PARTS, max_size=4).map(lambda parts: "/" + "/".join(parts))


@st.composite
def incidents(draw: st.DrawFn) -> Incident:
    """Whatever an agent may write, as far as the word rests on it."""
    victims = draw(st.lists(st.builds(victim, anon_bytes=SIZES, shmem_bytes=SIZES), min_size=1, max_size=3))
    known = dict.fromkeys(KNOWN, SIZES) | {f"{kind}_bytes": st.none() | SIZES for kind in KINDS}
    return incident(
        victims=tuple(replace(one, pid=7000 + at) for at, one in enumerate(victims)),
        scope=draw(st.sampled_from(["container", "pod", "cgroup", "node", "unknown"])),
        limit_cgroup=draw(CGROUPS),
        memory=draw(st.none() | st.builds(Memory, **known)),
        usage_bytes=draw(st.none() | SIZES),
        neighbours=tuple(draw(st.lists(st.builds(Neighbour, st.just(9150), st.just("tini"), SIZES), max_size=2))),
        neighbours_bytes=draw(st.none() | SIZES),
        sandbox=draw(st.sampled_from([False, False, False, True])),
        limit_lowered=draw(st.sampled_from([False, False, False, True])),
    )


@settings(max_examples=1000)
@given(incidents())
def test_the_agents_word(told: Incident) -> None:
    """Also of the incident as an Event has it, and the shares of which it is the largest."""
    read: dict[str, Any] = parsed(encode(told)) or {}
    assert ours.why(read) == (why(told) or ours.UNKNOWN)
    assert ours.shares(read) == shares(told)
