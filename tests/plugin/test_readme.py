"""plugin/README.md: each command in it is run, in its order, but for those that say that they are not.

In: the page; the stand-in; a home with nothing in it. Out: how they end, and that each option is one.
"""

import asyncio
import re
import subprocess
from pathlib import Path

from places import REPOSITORY
from plugin import PACKAGE, STORIES, Plugin, kubeconfig, pod_of, put
from standin import ApiServer

PAGE = (PACKAGE / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S) for line in block.splitlines()]


async def test_its_commands(api: ApiServer, oom: Plugin, tmp_path: Path) -> None:
    put(api, "leak", "spike", "node")
    api.put_pod(pod_of(STORIES["leak"]))
    kubeconfig(tmp_path, api.url, api.token, "shop")
    (tmp_path / "programs/kubectl-oom").unlink()  # it is installed as the page says
    (tmp_path / ".local/bin").mkdir(parents=True)
    environ = oom.environ | {"PATH": f"{tmp_path}/.local/bin:{oom.environ['PATH']}"}
    ran = [line for line in COMMANDS if "# not run" not in line]
    assert len(COMMANDS) - len(ran) == 1
    for line in ran:
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-euc", line],
            cwd=REPOSITORY,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        if line.startswith("kubectl oom") and "--version" not in line:
            assert re.search("java|chrome|shop|heap", done.stdout), line
    assert (tmp_path / ".local/bin/kubectl_complete-oom").resolve().name == "kubectl-oom"


async def test_its_options(oom: Plugin) -> None:
    """In the table are all but kubectl's and --agent-selector, and no other."""
    usage = (await oom("--help")).out
    ours, _, _ = usage.partition("passed on to kubectl")
    known = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) - {"--help", "--version", "--agent-selector"}
    table = PAGE[PAGE.index("| option") : PAGE.index("And kubectl's own")]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", table))
    short = {"--namespace", "--all-namespaces", "--selector", "--container", "--watch", "--output"}
    assert named == known - short
    assert {"-n", "-A", "-l", "-c", "-w", "-o"} <= set(re.findall(r"(?<![\w-])-[a-zA-Z]\b", table))
