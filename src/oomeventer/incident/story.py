"""What came before a kill, and what to do. Data, without I/O: see incident.py for its rules."""

from typing import Annotated, Literal

from msgspec import Struct

from oomeventer.incident.fields import NATURAL, NOT_EMPTY, Moment, meaning

#: By the rules of trajectory/pattern.py.
Pattern = Literal["steady", "spike", "at the limit", "sawtooth", "unknown"]


class Sample(Struct, frozen=True):
    """What counted at one moment: anonymous memory, files in memory, kernel memory that stays; not page cache."""

    seconds_before: Annotated[float, meaning("Before the kill, in seconds", NATURAL)]
    bytes: Annotated[int, meaning("In bytes; of an older sample the highest of its span", NATURAL)]


class Trajectory(Struct, frozen=True):
    """How a cgroup came to its limit. The figures that its pattern does not have are null."""

    cgroup: Annotated[str, meaning("Whose memory it is: the cgroup that ran out, or the victim's container")]
    pattern: Annotated[
        Pattern,
        meaning(
            "steady: grew at about one rate; spike: rose within a moment; at the limit: has lived near it; "
            "sawtooth: rises and falls again; unknown: too few samples, or none of these."
        ),
    ]
    samples: Annotated[tuple[Sample, ...], meaning("The samples before the kill, the oldest first; thinned out.")] = ()
    rate_bytes_per_hour: Annotated[int | None, meaning("steady: its growth, in bytes an hour")] = None
    lasts_seconds: Annotated[
        float | None,
        meaning("steady: how long twice the limit would last from empty at that rate, in seconds", NATURAL),
    ] = None
    before_bytes: Annotated[int | None, meaning("spike: what it was before, in bytes", NATURAL)] = None
    highest_bytes: Annotated[
        int | None, meaning("The highest of the last day before the kill's own rise, in bytes", NATURAL)
    ] = None
    since_seconds: Annotated[
        float | None, meaning("at the limit: for how long it has lived within 10% of it, in seconds", NATURAL)
    ] = None

    @property
    def covers_seconds(self) -> float:
        """For how long before the kill it was sampled; 0 where the samples are not there."""
        return self.samples[0].seconds_before if self.samples else 0.0


class Repeats(Struct, frozen=True):
    """Of kills that a reader would call the same again, as far as the node's journal goes back."""

    count: Annotated[int, meaning("Which one this is, from 1 on", {"minimum": 1})]
    since: Annotated[Moment, meaning("When the first of them was, UTC")]
    every_seconds: Annotated[
        float | None, meaning("How far they are apart, the median, in seconds; null of fewer than three", NATURAL)
    ] = None


class Hint(Struct, frozen=True):
    """What a person may do, and on what that rests."""

    rule: Annotated[str, meaning("The rule's name, which is its anchor in docs/hints.md", NOT_EMPTY)]
    text: Annotated[str, meaning("One sentence", NOT_EMPTY)]
    evidence: Annotated[tuple[str, ...], meaning("What of this incident it rests on, in words.")]
    advice: Annotated[
        str | None, meaning("What to do alone, where the message has told the rest of the text; null: it has not")
    ] = None
