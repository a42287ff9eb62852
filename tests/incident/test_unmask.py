"""Words that the Pod's spec says are shown again, and no others: by the pure function, and by what is kept beside an
incident until then."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oomeventer.incident.assemble import assemble
from oomeventer.incident.bounds import VICTIMS_WITH_TEXT
from oomeventer.incident.commands import read_commands
from oomeventer.incident.events import compose_all
from oomeventer.incident.incident import Incident
from oomeventer.incident.unmasking import KEPT, Unmasking
from oomeventer.kernel.kill import Kill, Missing
from oomeventer.node.procfs import Observation
from oomeventer.redaction.policy import MASK, Redaction
from oomeventer.redaction.spec_words import digests, unmask, words_in_clear
from samples import CONTAINER, HOST, POD, POD_CGROUP, kill

KEY = bytes(range(32))
SAFE = Redaction()


def shown_by_spec(argv: Sequence[str], spec: Sequence[str], key: bytes = KEY, **cut: bool) -> tuple[str, ...]:
    """argv, redacted, then unmasked by a spec."""
    raw = [word.encode() for word in argv]
    masked = digests(raw, SAFE.words(raw, b"hog", **cut), KEY)
    return unmask(SAFE.command(raw, b"hog", **cut), masked, words_in_clear(spec), key)


def whole(*argv: str) -> tuple[str, ...]:
    """A command that is its container's own."""
    return shown_by_spec(argv, argv)


@pytest.mark.parametrize(
    "argv",
    [
        ("python", "manage.py", "runserver", "0.0.0.0:8000"),
        ("celery", "-A", "proj", "worker", "--pool=prefork", "-Q", "mail,reports"),
        ("npm", "run", "build"),
        ("gunicorn", "proj.wsgi:application", "--bind", "10.0.0.7:8000"),
        ("sh", "-c", "exec node server.js --region=europe"),
        ("-cweird", "two words", "http://h/path", "@scope/name", "--e=f"),
    ],
)
def test_the_words_of_the_spec_are_shown(argv: tuple[str, ...]) -> None:
    """As they are written there."""
    assert whole(*argv) == argv


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        # A name before it tells.
        (("hog", "--password", "tortoise"), ("hog", "--password", MASK)),
        (("hog", "--password=tortoise"), ("hog", f"--password={MASK}")),
        (("hog", "AUTH", "default", "tortoise"), ("hog", "AUTH", MASK, MASK)),
        (("hog", "-ptortoise", "-p", "tortoise"), ("hog", f"-p{MASK}", "-p", MASK)),
        (("htpasswd", "bob", "tortoise"), ("htpasswd", MASK, MASK)),
        (("hog", "PASSWORD=tortoise"), ("hog", MASK)),
        (("hog", "-----BEGIN", "tortoise"), ("hog", MASK, MASK)),
        (("sh", "-c", "run --password tortoise"), ("sh", "-c", MASK)),
        (("sh", "-c", "mysql -ptortoise"), ("sh", "-c", MASK)),
        (("sh", "-c", "PGPASSWORD=tortoise psql"), ("sh", "-c", MASK)),
        # It has a credential's shape.
        (("hog", "https://bob:tortoise@h/"), ("hog", MASK)),
        (("hog", "https://bob@h/", "scott/tiger@db"), ("hog", MASK, MASK)),
        (("hog", "https://h/?token=tortoise"), ("hog", MASK)),
        (("hog", "hunter2", "--x=hunter2", "a8f3k2m9"), ("hog", MASK, f"--x={MASK}", MASK)),
        (("hog", "deadbeefcafe", "AbCdEfGh"), ("hog", MASK, MASK)),
        (("hog", "password:tortoise", "https://h/?x=y&sig=tortoise"), ("hog", MASK, MASK)),
        (("hog", "bob/482913", "send 482913"), ("hog", MASK, MASK)),
        (("hog", "4111-1111-1111-1111"), ("hog", MASK)),
        (("hog", '{"password":"tortoise"}'), ("hog", MASK)),
        (("hog", "tortöise", "x" * 600), ("hog", MASK, MASK)),
    ],
)
def test_secrets_stay_masked_there_too(argv: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Events are copied into log stores, to which more people have access than to the Pod."""
    assert whole(*argv)[1:] == expected[1:]


@pytest.mark.parametrize(
    "spec",
    [
        (),
        ("other",),
        ("$(WORD)",),
        ("wrapper", "--password", "tortoise"),
        ("wrapper", "--password", "tortoise", "tortoise"),
        ("wrapper", "--token", "tortoise", "--name", "tortoise"),
        ("sh", "-c", "wrapper --password tortoise"),
        ("sh", "-c", "echo tortoise | passwd --stdin bob"),
        ("sh", "-c", "echo 'tortoise"),
        ("htpasswd", "tortoise"),
        ("Tortoise", "tortoises"),
    ],
)
def test_other_specs_show_nothing(spec: tuple[str, ...]) -> None:
    """What is not in clear there, or only behind a name that tells."""
    assert shown_by_spec(["hog", "tortoise"], spec) == ("hog", MASK)


def test_unexpanded() -> None:
    """What the kubelet would expand is no word, also where a victim has it literally; nor what a shell expands."""
    assert shown_by_spec(["hog", "$(NAME)", "--x=$(NAME)"], ["hog", "$(NAME)", "--x=$(NAME)"]) == (
        "hog",
        MASK,
        f"--x={MASK}",
    )
    assert words_in_clear(["sh", "-c", "a $B `c` d* 'e f'"]) == {"sh", "-c", "a $B `c` d* 'e f'", "a", "e f"}


def test_a_script_says_the_words_of_its_commands() -> None:
    """A shell hands them over in turn."""
    argv = ("celery", "-A", "proj")
    assert shown_by_spec(argv, ["sh", "-c", "cd /app && celery -A proj"]) == argv


def test_what_is_cut_stays_masked() -> None:
    """Though the spec says the half of it."""
    assert shown_by_spec(["hog", "tort"], ["hog", "tort"], cut=True) == ("hog", MASK)


def test_another_key_shows_nothing() -> None:
    """A digest tells nothing to who does not have the key."""
    assert shown_by_spec(["hog", "tortoise"], ["tortoise"], key=bytes(32)) == ("hog", MASK)
    assert unmask(("hog", MASK), (None, b"x", b"y"), ["tortoise"], KEY) == ("hog", MASK)


words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.sampled_from(
    ["--password", "--name", "tortoise", "-p", "AUTH", "--pin=7", "a b", "$(X)", "--x=y", "htpasswd"]
)


@given(st.lists(words, min_size=1, max_size=8), st.lists(words, max_size=8))
def test_nothing_is_shown_that_the_spec_does_not_say(argv: list[str], spec: list[str]) -> None:
    """Whatever the words: each is as before, or a word of the spec, on one line."""
    raw = [word.encode() for word in argv]
    before = SAFE.command(raw, b"hog")
    after = shown_by_spec(argv, spec)
    openly = words_in_clear(spec)
    for given_, masked, unmasked in zip(argv, before, after, strict=True):
        assert unmasked == masked or given_ in openly
        assert unmasked.isprintable()
    for name, value in zip(argv[1:], after[2:], strict=False):
        if name in ("--password", "-p"):
            assert value == MASK


def incident_of(*kills: Kill, policy: Redaction = SAFE) -> tuple[Incident, Unmasking]:
    masked = Unmasking(policy)
    made = assemble(kills, Observation(), {}, HOST, policy)
    masked.keep(made, kills, read_commands(kills, Observation(), policy))
    return made, masked


SERVE = kill(arguments=b"hog\0serve\0--password\0serve\0")


def test_beside_the_incident() -> None:
    """In clear is the word only once the spec is known, and only once is it asked."""
    made, masked = incident_of(SERVE)
    before = made.chosen.command
    assert before == ("hog", MASK, "--password", MASK)
    assert "serve" not in repr(vars(masked))
    assert masked.unmask(made) == made
    made, masked = incident_of(SERVE)
    masked.keep_spec_words(made.key, ("hog", "serve"))
    assert masked.unmask(made).chosen.command == ("hog", "serve", "--password", MASK)
    assert masked.unmask(made) == made


def test_an_earlier_processs_incident_stays_masked() -> None:
    """Its key is gone, and its digests."""
    made, _ = incident_of(SERVE)
    masked = Unmasking(SAFE)
    masked.keep_spec_words(made.key, ("hog", "serve"))
    assert masked.unmask(made) == made


def test_only_the_container_itself() -> None:
    """A group kill can reach into others of the Pod, whose words the spec says elsewhere."""
    other = kill(4218, cgroup=f"{POD_CGROUP}/{'4e' * 32}", arguments=b"hog\0serve\0")
    made, masked = incident_of(SERVE, other, kill(4219, arguments=None))
    masked.keep_spec_words(made.key, ("serve",))
    first, second, third = masked.unmask(made).victims
    assert first.command == ("hog", "serve", "--password", MASK)
    assert second.command == ("hog", MASK)
    assert third.command is None


@pytest.mark.parametrize("policy", [Redaction(arguments="none"), Redaction(arguments="all")])
def test_nothing_is_kept_for_other_policies(policy: Redaction) -> None:
    made, masked = incident_of(SERVE, policy=policy)
    masked.keep_spec_words(made.key, ("serve",))
    assert masked.unmask(made) == made


def test_a_cut_argument_has_no_digest() -> None:
    made, masked = incident_of(kill(arguments=b"hog\0serv", missing=Missing.ARGUMENTS))
    masked.keep_spec_words(made.key, ("serv",))
    assert masked.unmask(made).chosen.command == ("hog", MASK)


def test_what_is_kept_is_bounded() -> None:
    """The oldest go."""
    masked = Unmasking(SAFE)
    arguments = b"hog\0" + b"serve\0" * 127
    made = [
        (incident, one)
        for number in range(KEPT // 128 + 2)
        for one in [kill(9000 + number, arguments=arguments)]
        for incident in [assemble((one,), Observation(), {}, HOST, SAFE)]
    ]
    for incident, one in made:
        for _ in range(2):
            masked.keep(incident, (one,), read_commands((one,), Observation(), SAFE))
    unmasked = []
    for incident, _ in made:
        masked.keep_spec_words(incident.key, ("serve",))
        unmasked.append(masked.unmask(incident) != incident)
    assert unmasked == [False] * 2 + [True] * (KEPT // 128)


def test_as_many_victims_as_an_event_has() -> None:
    """Of a large group; the others stay as they are."""
    many = [kill(pid, arguments=b"hog\0serve\0") for pid in range(9000, 9000 + VICTIMS_WITH_TEXT + 4)]
    made, masked = incident_of(*many)
    masked.keep_spec_words(made.key, ("serve",))
    commands = [victim.command for victim in masked.unmask(made).victims]
    assert commands == [("hog", "serve")] * VICTIMS_WITH_TEXT + [None] * 4


@pytest.mark.parametrize("word", ["a ", "a=", "a/@", "--x=a,b:c;d ", "'\"", "a1", "p4ss", ":a", "--a ", "$(", "\u0661"])
def test_hostile_words_are_quick(word: str) -> None:
    """What a record holds, and a spec as long, costs no more than a moment."""
    text = (word * 4096)[:4096]
    started = time.process_time()
    for argv in ([text], [text[i : i + 500] for i in range(0, 4096, 500)], [text[:30]] * 130):
        shown_by_spec(argv, argv)
    assert time.process_time() - started < 1


def test_the_nodes_event_stays_masked() -> None:
    """It lies in namespace default, whose readers need not be the Pod's."""
    made, masked = incident_of(kill(arguments=b"hog\0serve\0", domain_inode=0))
    made = replace(made, pod=POD, container=CONTAINER)
    masked.keep_spec_words(made.key, ("serve",))
    on_pod, on_node = compose_all(masked.unmask(made), made)
    assert on_pod.body["message"].endswith("Command: hog serve")
    assert on_node.body["message"].endswith(f"Command: hog {MASK}")
    assert "serve" not in str(on_node.body)
