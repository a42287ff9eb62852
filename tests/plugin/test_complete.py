"""Completion as kubectl asks for it (from 1.26 on): `kubectl __complete oom …`, with kubectl_complete-oom on PATH.

In: words, the stand-in. Out: what is offered; `:4`, which is "no file names".
"""

import subprocess
from pathlib import Path

import pytest

from places import REPOSITORY
from plugin import Plugin, put
from standin import ApiServer

SHOP = ["checkout-7d9f-x2x4q", "thumbs-0", "api-6f7c-abcde"]


@pytest.fixture
def completing(oom: Plugin, tmp_path: Path) -> Plugin:
    """The zipapp by its two names, the second a link, as the README has it."""
    subprocess.run(["make", "plugin"], cwd=REPOSITORY, check=True, capture_output=True)
    programs = tmp_path / "programs"
    (programs / "kubectl-oom").unlink()
    (programs / "kubectl-oom").symlink_to(REPOSITORY / "build/kubectl-oom")
    (programs / "kubectl_complete-oom").symlink_to("kubectl-oom")
    return oom


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ([""], ["list", "show", "top", "explain"]),
        (["sh"], ["show"]),
        (["explain", "jvm-h"], ["jvm-heap"]),
        (["-n", "shop", "show", ""], SHOP),
        (["show", "-n", "shop", "t"], ["thumbs-0"]),
        (["show", "-n", "kube-system", ""], ["old-0"]),
        (["show", "-n", "shop", "thumbs-0", ""], []),
        (["show", "-n", "shop", "thumbs-0", "-c", ""], ["worker"]),
        (["-n", "shop", "--owner", "Dep"], ["Deployment/checkout", "Deployment/api"]),
        (["-n", "shop", "--node", ""], ["lab-node"]),
        (["show", "-n", ""], ["shop", "batch", "web", "kube-system"]),
        (["--context", ""], ["test"]),
        (["top", "--by", "n"], ["namespace", "node"]),
        (["top", ""], []),
        (["--so"], ["--sort"]),
        (["show", "--nonsense", "-n", "shop", ""], []),
        (["show", "-n", "shop", "--token=nobody", ""], []),
    ],
)
async def test_what_is_offered(api: ApiServer, completing: Plugin, words: list[str], offered: list[str]) -> None:
    put(api, "leak", "spike", "group", "tmpfs", "node", "thin")
    done = await completing.complete(*words)
    assert done.out.splitlines() == [*offered, ":4"]
    assert "usage" not in done.err
    assert "rror" not in done.err
