"""How programs write sizes. In: text, hostile text too. Out: bytes, or nothing."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oomeventer.hints import sizes
from samples import MI

GI = 1 << 30
READERS = (
    sizes.jvm,
    sizes.go,
    sizes.postgres,
    sizes.redis,
    sizes.mysql,
    sizes.mebibytes,
    sizes.gibibytes,
    sizes.percent,
    sizes.count,
)
HOSTILE = (
    "",
    " ",
    "-1",
    "+8",
    "0",
    "0g",
    "00000",
    "1e9",
    "0x10",
    "8g\n",
    "\n8g",
    "8 g",
    "8gg",
    "g",
    "8.5.1",
    ".5",
    "5.",
    "nan",
    "inf",
    "1_000",
    "\u0668",
    "\uff18",
    "²",
    "9" * 20,
    "9" * 5000,
    "9" * 19 + "t",
    "999999999999TiB",
    "***",
    "8***",
    "8g;rm",
    "\0",
    "\udc80",
)


@pytest.mark.parametrize(
    ("read", "text", "figure"),
    [
        (sizes.jvm, "8g", 8 * GI),
        (sizes.jvm, "512M", 512 * MI),
        (sizes.jvm, "1048576", MI),
        (sizes.go, "30MiB", 30 * MI),
        (sizes.go, "1073741824", GI),
        (sizes.go, "100B", 100),
        (sizes.go, "30M", None),
        (sizes.go, "30mib", None),
        (sizes.go, "off", None),
        (sizes.postgres, "16MB", 16 * MI),
        (sizes.postgres, "16384", 128 * MI),
        (sizes.postgres, "16mb", None),
        (sizes.redis, "64mb", 64 * MI),
        (sizes.redis, "64m", 64_000_000),
        (sizes.redis, "2GB", 2 * GI),
        (sizes.mysql, "1G", GI),
        (sizes.mebibytes, "4096", 4 * GI),
        (sizes.gibibytes, "0.25", GI // 4),
        (sizes.percent, "80.0", 80.0),
        (sizes.percent, "100", 100.0),
        (sizes.percent, "100.1", None),
        (sizes.count, "8", 8),
        (sizes.count, "10000", None),
        (sizes.count, "08", None),
    ],
)
def test_figures(read: Callable[[str], float | None], text: str, figure: float | None) -> None:
    assert read(text) == figure


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_no_figure(read: Callable[[str], float | None], text: str) -> None:
    assert read(text) is None


@given(st.text(alphabet=st.sampled_from("0123456789.kKmMgGtTiBb-+e_ \n*"), max_size=30) | st.text(max_size=30))
def test_whatever_it_reads_is_bounded(text: str) -> None:
    for read in READERS:
        figure = read(text)
        assert figure is None or 0 < figure <= sizes.MOST
