"""The corpus of secrets and of useful fragments, and the figures that docs/redaction.md promises.

In: tests/support/data/redaction. Out: what is shown of it, without the Pod's spec and with it.
"""

from pathlib import Path

import pytest

import corpus
from corpus import Line, kept, leaked, lines, shown

SECRETS, USEFUL = list(lines("secrets.txt")), list(lines("useful.txt"))


def text(line: Line) -> str:
    return line.text


@pytest.mark.parametrize("line", SECRETS, ids=text)
def test_no_secret_is_shown(line: Line) -> None:
    """None outside the documented limit; what is marked as within it is shown, or the limit would be a pretext."""
    assert line.marked
    assert sorted(leaked(line, shown(line))) == (sorted(line.marked) if "limit" in line.flags else [])
    allowed = line.flags & {"limit", "spec"}
    assert sorted(leaked(line, shown(line, with_spec=True))) == (sorted(line.marked) if allowed else [])


@pytest.mark.parametrize("line", SECRETS, ids=text)
def test_a_secret_stands_only_where_it_is_marked(line: Line) -> None:
    """Else it would be found where it is no secret, or its being masked would prove nothing."""
    given = {"command": [word for word in line.words if word], "environment": {}}
    assert sorted(leaked(line, given)) == sorted(line.marked)


def test_the_figures() -> None:
    """As many as there must be, and as much of what is useful as is promised: 85 in a hundred, 95 with a spec."""
    assert sum(len(line.marked) for line in SECRETS) >= 300
    total, without, with_spec = map(sum, zip(*corpus.figures("useful.txt", kept).values(), strict=True))
    assert total >= 150
    assert without / total >= 0.85
    assert with_spec / total >= 0.95
    docs = (Path(__file__).parents[2] / "docs/redaction.md").read_text()
    secrets = corpus.figures("secrets.txt", leaked)
    all_, shown_, shown_with_spec = map(sum, zip(*secrets.values(), strict=True))
    assert f"| secrets shown outside the limit | {all_ - shown_with_spec} | 0 | 0 |" in docs
    assert f"| within the limit | {shown_with_spec} | {shown_} | {shown_with_spec} |" in docs
    assert f"| useful words kept | {total} | {without} | {with_spec} |" in docs


@pytest.mark.parametrize("line", USEFUL, ids=text)
def test_a_spec_takes_nothing_away(line: Line) -> None:
    """What is shown without it is shown with it."""
    assert set(kept(line, shown(line))) <= set(kept(line, shown(line, with_spec=True)))


def test_the_corpus_can_fail() -> None:
    """Of a policy that masks nothing it finds every secret that a policy could mask."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(corpus, "Redaction", lambda: corpus_all)
        found = [line for line in SECRETS if "variable" not in line.flags and not leaked(line, shown(line))]
    assert found == []


corpus_all = corpus.Redaction(arguments="all", environment="all")
