"""What others' tools install the plugin by: krew's manifest, and k9s' snippet.

In: what `make krew` writes; plugin/k9s.yaml. Out: whether it is what their documentation asks for. Neither krew nor k9s
runs here: the schemas say in our words what theirs do (krew.sigs.k8s.io, "Writing Krew plugin manifests" and "Plugin
Naming Guide"; k9s' schema of plugins).
"""

import asyncio
import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import kubectl_oom
import oomeventer
from places import DATA, REPOSITORY
from plugin import PACKAGE, Plugin, put
from standin import ApiServer

URL = "https://github.com/owner/name/releases/download/v0.1.0"
SCHEMAS = {name: json.loads((DATA / f"{name}.schema.json").read_text()) for name in ("krew", "k9s")}


@pytest.fixture(scope="module")
def made() -> Path:
    subprocess.run(["make", "krew", f"URL={URL}"], cwd=REPOSITORY, check=True, capture_output=True)
    return REPOSITORY / "build"


def test_krews_manifest(made: Path) -> None:
    manifest: dict[str, Any] = yaml.safe_load((made / "oom.yaml").read_text())
    jsonschema.validate(manifest, SCHEMAS["krew"])
    assert manifest["metadata"]["name"] == (PACKAGE / "krew/oom.yaml").stem
    version = subprocess.run([made / "kubectl-oom", "--version"], capture_output=True, text=True, check=True).stdout
    assert f"kubectl-oom {manifest['spec']['version'].removeprefix('v')}\n" == version
    assert kubectl_oom.__version__ == oomeventer.__version__
    assert manifest["spec"]["homepage"] == "https://github.com/owner/name"
    (platform,) = manifest["spec"]["platforms"]
    assert platform["uri"] == f"{URL}/kubectl-oom.tar.gz"
    assert platform["sha256"] == hashlib.sha256((made / "kubectl-oom.tar.gz").read_bytes()).hexdigest()


def test_the_archive_has_what_the_manifest_starts(made: Path, tmp_path: Path) -> None:
    bin_ = yaml.safe_load((made / "oom.yaml").read_text())["spec"]["platforms"][0]["bin"]
    with tarfile.open(made / "kubectl-oom.tar.gz") as archive:
        assert sorted(archive.getnames()) == ["LICENSE", "kubectl-oom"]
        for name in archive.getnames():  # Debian 12's Python has no filters
            file = archive.extractfile(name)
            assert file is not None
            (tmp_path / name).write_bytes(file.read())
            (tmp_path / name).chmod(archive.getmember(name).mode)
    link = tmp_path / "kubectl-oom-link"  # as krew starts it
    link.symlink_to(tmp_path / bin_)
    assert subprocess.run([link, "--version"], capture_output=True, check=True).stdout.startswith(b"kubectl-oom ")
    before = (made / "kubectl-oom.tar.gz").read_bytes()
    subprocess.run(["make", "krew", f"URL={URL}"], cwd=REPOSITORY, check=True, capture_output=True)
    assert (made / "kubectl-oom.tar.gz").read_bytes() == before


@pytest.mark.parametrize("path", [("spec", "version"), ("spec", "platforms", 0, "sha256"), ("metadata", "name")])
def test_the_form_itself_is_no_manifest(made: Path, path: tuple[Any, ...]) -> None:
    """What was not filled is refused."""
    manifest = at = yaml.safe_load((made / "oom.yaml").read_text())
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = "SHA256"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(manifest, SCHEMAS["krew"])


def test_a_release_needs_a_url() -> None:
    done = subprocess.run(["make", "krew"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "no URL of https" in done.stderr


SNIPPET: dict[str, Any] = yaml.safe_load((PACKAGE / "k9s.yaml").read_text())
#: What k9s puts in place of these, by its view; $1 and the like it leaves to the shell.
VARIABLES = {
    "pods": {"$NAME": "checkout-7d9f-x2x4q", "$NAMESPACE": "shop"},
    "containers": {"$NAME": "app", "$POD": "checkout-7d9f-x2x4q", "$NAMESPACE": "shop"},
    "namespaces": {"$NAME": "shop"},
    "deployments": {"$NAME": "checkout", "$NAMESPACE": "shop"},
}


def test_k9s_snippet() -> None:
    jsonschema.validate(SNIPPET, SCHEMAS["k9s"])
    keys = [(one["shortCut"], scope) for one in SNIPPET["plugins"].values() for scope in one["scopes"]]
    assert len(keys) == len(set(keys))
    assert {scope for _, scope in keys} == set(VARIABLES)


@pytest.mark.parametrize("name", sorted(SNIPPET["plugins"]))
async def test_its_commands(api: ApiServer, oom: Plugin, name: str) -> None:
    """As k9s runs them, with less at the end of the pipe."""
    put(api, "leak", "spike")
    snippet = SNIPPET["plugins"][name]
    known = VARIABLES[snippet["scopes"][0]] | {"$CONTEXT": "test"}
    words = [known.get(word, word) for word in snippet["args"]]
    assert not [word for word in words if word.startswith("$")]
    command = [snippet["command"], *words]
    done = await asyncio.to_thread(subprocess.run, command, env=oom.environ, capture_output=True, text=True, check=True)
    assert "java" in done.stdout
    assert ("convert" in done.stdout) == (name == "oom-namespace")
    assert "error" not in done.stdout
