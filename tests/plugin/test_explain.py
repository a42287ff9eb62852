"""`explain`: more on each hint, out of the plugin. In: rules' names. Out: their sections; no cluster is asked."""

import re

from kubectl_oom import explain
from oomeventer.hints.table import RULES
from plugin import Plugin
from standin import ApiServer


async def test_each_rule_of_the_agents(api: ApiServer, oom: Plugin) -> None:
    names = [rule.name for rule in RULES]
    done = await oom("explain", *names)
    assert (done.status, done.err, api.requests) == (0, "", [])
    assert [line for line in done.out.splitlines() if line and not line.startswith(" ")] == names
    assert max(map(len, done.out.splitlines())) <= 100
    told = re.sub(r"\s+", " ", done.out)
    for name in names:
        assert re.sub(r"\s+", " ", explain.rules()[name]) in told


async def test_which_there_are(oom: Plugin) -> None:
    done = await oom("explain")
    assert sorted(re.findall(r"^\S+$", done.out, re.MULTILINE)) == sorted(rule.name for rule in RULES)


async def test_a_name_as_show_prints_it(oom: Plugin) -> None:
    """Several of them, as the last line of a screen has them; with the page's sign before it."""
    done = await oom("explain", "tmpfs", "#leak")
    assert re.findall(r"^\S+$", done.out, re.MULTILINE) == ["tmpfs", "leak"]
    assert "sizeLimit" in done.out
