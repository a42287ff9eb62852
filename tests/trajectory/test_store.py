"""The store's bounds, and what it remembers. In: ticks. Out: histories; bytes."""

import tracemalloc
import uuid

import pytest

from oomeventer.trajectory import saved
from oomeventer.trajectory.store import FINE, LEAST_BYTES, SPAN_SECONDS, SPANS, Store

MI = 1 << 20
PATH = "/kubepods/pod0"


def ticked(ticks: int, period: float = 30.0, **named: int) -> Store:
    store = Store(**named)
    for number in range(ticks):
        store.tick(number * period, [(PATH, 1, (number + 1) * MI)])
    return store


def test_fine_and_then_the_highest_of_each_span() -> None:
    """The last 60 samples, and before them a day's spans; none twice, none from after the moment that is asked for."""
    store = ticked(5000)
    now = 5000 * 30.0
    history = store.history(PATH, now)
    assert history
    assert [size for _, size in history.fine] == [(number + 1) * MI for number in range(4940, 5000)]
    assert history.fine[-1][0] == 4999 * 30
    assert all(time <= history.fine[0][0] for time, _ in history.coarse)
    assert 69 <= len(history.coarse) <= SPANS
    per_span = SPAN_SECONDS // 30
    assert all(size == int(time // 30) * MI for time, size in history.coarse)
    assert history.coarse[1][1] - history.coarse[0][1] == per_span * MI
    earlier = store.history(PATH, 4950 * 30.0)
    assert earlier
    assert earlier.fine[-1] == (4949 * 30.0, 4950 * MI)


def test_a_gap_is_no_samples() -> None:
    """The agent was away for six hours: nothing of the ring's last round is taken for now."""
    store = ticked(100)
    for number in range(10):
        store.tick(6 * 3600 + number * 30.0, [(PATH, 1, 7 * MI)])
    history = store.history(PATH, 7 * 3600.0)
    assert history
    assert [time for time, _ in history.fine] == sorted(time for time, _ in history.fine)
    assert {size for time, size in history.fine if time >= 6 * 3600} == {7 * MI}
    later = Store()
    later.tick(0.0, [(PATH, 1, 9 * MI)])
    for number in range(FINE + 80):
        later.tick(1.5 * 86400 + number * 30, [(PATH, 1, 7 * MI)])
    assert {size for _, size in later.history(PATH, 2 * 86400.0).coarse} == {7 * MI}  # type: ignore[union-attr]


def test_what_is_not_seen_has_no_samples() -> None:
    """Nor does it keep those of the ring's last round."""
    store = ticked(FINE)
    for number in range(FINE, FINE + 20):
        store.tick(number * 30.0, [("other", 1, 5 * MI)])
    history = store.history(PATH, 1e6)
    assert history
    assert [time for time, _ in history.fine] == [number * 30.0 for number in range(20, FINE)]


def test_another_cgroup_by_that_name_begins_anew() -> None:
    store = ticked(10)
    store.tick(300.0, [(PATH, 2, 5 * MI)])
    assert store.history(PATH, 1000.0).fine == [(300.0, 5 * MI)]  # type: ignore[union-attr]


def test_those_unseen_longest_go_first() -> None:
    """And nobody who is seen goes for a newcomer."""
    store = Store(3)
    for number, names in enumerate(["abc", "ab", "abd", "abde"]):
        store.tick(number * 30.0, [(name, 1, 5 * MI) for name in names])
    assert store.rows.keys() == set("abd")


def test_what_never_held_much_has_no_row() -> None:
    """A sandbox's pause process; but what has a row keeps it."""
    store = Store()
    store.tick(0.0, [("small", 1, LEAST_BYTES - 1), (PATH, 1, 5 * MI)])
    store.tick(30.0, [("small", 1, LEAST_BYTES - 1), (PATH, 1, 4096)])
    assert store.history("small", 60.0) is None
    assert len(store.history(PATH, 60.0).fine) == 2  # type: ignore[union-attr]


@pytest.mark.parametrize(("left", "since"), [(30, 300.0), (290, 0.0)])
def test_a_kill_that_leaves_little_begins_anew(left: int, since: float) -> None:
    """One that ends a small child of a large process does not."""
    store = Store()
    for number in range(10):
        store.tick(number * 30.0, [(PATH, 1, 300 * MI)])
    store.disturbed(PATH)
    for number in range(10, 12):
        store.tick(number * 30.0, [(PATH, 1, left * MI)])
    assert store.history(PATH, 1000.0).since == since  # type: ignore[union-attr]


def test_one_mebibyte_for_500_containers_and_their_pods() -> None:
    """With their paths, as systemd and containerd write them."""
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    paths = []
    for _ in range(500):
        uid = str(uuid.uuid4()).replace("-", "_")
        pod = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice"
        paths += [pod, f"{pod}/cri-containerd-{uuid.uuid4().hex * 2}.scope"]
    store = Store()
    for number in range(FINE + 2):
        store.tick(number * 1300.0, [(path, 7, 5 * MI) for path in paths])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(store.rows) == 1000
    print(f"\n{(after - before) / 1024:.0f} KiB for 500 containers and 500 Pods")
    assert after - before <= 1 << 20


def test_saved_and_read() -> None:
    """In the same boot it goes on as it was."""
    store = ticked(200)
    store.disturbed(PATH)
    store.tick(6000.0, [(PATH, 1, 4 * MI), ("other", 2, 3 * MI)])
    again = saved.load(saved.packed(saved.dump(store, "boot")), "boot", 6001.0)
    for path in (PATH, "other"):
        assert again.history(path, 6001.0) == store.history(path, 6001.0)
    for one in (store, again):
        one.tick(6030.0, [(PATH, 1, 6 * MI)])
    assert again.history(PATH, 6031.0) == store.history(PATH, 6031.0)


TEXT = saved.packed(saved.dump(ticked(100), "boot"))


@pytest.mark.parametrize(
    ("text", "boot", "now", "why"),
    [
        (TEXT, "another", 1e9, "booted since"),
        (TEXT, "boot", 100.0, "times"),
        (TEXT[: len(TEXT) // 8 * 4], "boot", 1e9, "not whole"),
        ("", "boot", 1e9, "not whole"),
        ("\N{SNOWMAN}", "boot", 1e9, "damaged"),
        (TEXT[:40] + "AAAA" + TEXT[44:], "boot", 1e9, "damaged|not whole"),
        ("A" * (saved.MOST_BYTES + 1), "boot", 1e9, "too large"),
        (saved.packed(b'{"version": 2}\n'), "boot", 1e9, "another version"),
        (saved.packed(b"[]\n"), "boot", 1e9, "damaged"),
        (saved.packed(b"\0" * (3 << 20)), "boot", 1e9, "not whole"),
        (saved.packed(saved.dump(ticked(100), "boot")[:-4]), "boot", 1e9, "damaged"),
        (saved.packed(saved.dump(ticked(100), "boot") + b"more"), "boot", 1e9, "damaged"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, boot: str, now: float, why: str) -> None:
    with pytest.raises(saved.UnreadableError, match=why):
        saved.load(text, boot, now)
