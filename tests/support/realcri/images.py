"""Two OCI image archives made on the spot, so that no test pulls anything.

`PAUSE` is for sandboxes; `TOOLS`, with busybox and hog (tests/support/data/hog.c), for containers.
"""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from pathlib import Path

from places import DATA

PAUSE = "localhost/oomeventer/pause:test"
TOOLS = "localhost/oomeventer/tools:test"

_HOG_C = DATA / "hog.c"
_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}
_OCI = "application/vnd.oci.image"


def write(directory: Path, busybox: str) -> list[Path]:
    """Compile hog and write both archives into `directory`; `busybox` is the path of a static one."""
    hog = _hog(directory)
    tools = directory / "tools.tar"
    tools.write_bytes(_archive(TOOLS, _tree({"busybox": busybox, "hog": hog}, _applets(busybox)), ["/bin/sh"]))
    pause = directory / "pause.tar"
    pause.write_bytes(_archive(PAUSE, _tree({"pause": hog}, []), ["/bin/pause"]))
    return [pause, tools]


def write_tree(directory: Path, busybox: str) -> Path:
    """The tree of TOOLS alone, as a tar archive, for an engine that reads no OCI layouts."""
    tree = directory / "tree.tar"
    tree.write_bytes(_tree({"busybox": busybox, "hog": _hog(directory)}, _applets(busybox)))
    return tree


def _hog(directory: Path) -> Path:
    hog = directory / "hog"
    subprocess.run(["gcc", "-O1", "-Wall", "-static", "-pthread", "-o", hog, _HOG_C], check=True)
    return hog


def _applets(busybox: str) -> list[str]:
    return subprocess.check_output([busybox, "--list"], text=True).split()


def _tree(programs: dict[str, str | Path], applets: list[str]) -> bytes:
    """`programs` in /bin, `applets` as links to /bin/busybox."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for directory in ("bin", "dev", "proc", "sys", "tmp"):
            tar.addfile(_entry(directory, type=tarfile.DIRTYPE, mode=0o755))
        for name, source in programs.items():
            content = Path(source).read_bytes()
            tar.addfile(_entry(f"bin/{name}", size=len(content), mode=0o755), io.BytesIO(content))
        for applet in applets:
            if applet not in programs:
                tar.addfile(_entry(f"bin/{applet}", type=tarfile.SYMTYPE, linkname="busybox"))
    return layer.getvalue()


def _archive(ref: str, layer: bytes, command: list[str]) -> bytes:
    """An OCI image layout of one layer."""
    files: dict[str, bytes] = {}

    def blob(media_type: str, content: bytes) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        files[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"{_OCI}.{media_type}", "digest": f"sha256:{digest}", "size": len(content)}

    layer_blob = blob("layer.v1.tar", layer)
    config = {
        "architecture": _ARCHITECTURE[platform.machine()],
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": command},
        "rootfs": {"type": "layers", "diff_ids": [layer_blob["digest"]]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": blob("config.v1+json", json.dumps(config).encode()),
        "layers": [layer_blob],
    }
    manifest_blob = blob("manifest.v1+json", json.dumps(manifest).encode())
    manifest_blob["annotations"] = {"io.containerd.image.name": ref, "org.opencontainers.image.ref.name": ref}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [manifest_blob]}).encode()
    files["oci-layout"] = json.dumps({"imageLayoutVersion": "1.0.0"}).encode()

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            tar.addfile(_entry(name, size=len(content)), io.BytesIO(content))
    return archive.getvalue()


def _entry(name: str, **attributes: object) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(entry, attribute, value)
    return entry
