"""The guests' disk: a small Debian with the project as a wheel would install it. In: this checkout, packages.
Out: an ext4 image to boot from. Rules: no script of a package runs; an image is named for what went into it, so
that it is made again only when that changed; guests write to a throw-away layer over it, never to it.

Two layers are kept below .cache/kernels: the tree of Debian's Python, libbpf and the wheels of the project's
dependencies, and the image, which adds the project, the victim and the guest's own program.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from kernels.architecture import Architecture
from kernels.packages import CACHE, Suite, unpack
from machine import build
from places import DATA, REPOSITORY

#: Its Python 3.11 and libbpf 1.1 are close to the oldest that the project takes.
SUITE = "bookworm"
PACKAGES = ("python3", "libbpf1", "busybox-static")
#: Where project and dependencies lie in the guest.
SITE = "opt/oomeventer"
SPARE_MIB = 64
LOCK = REPOSITORY / "requirements.lock"


@functools.cache
def image(architecture: Architecture) -> Path:
    """The disk image, made if it is not there."""
    project = REPOSITORY / "src/oomeventer"
    if not (project / "kernel/oom.bpf.o").exists():
        raise FileNotFoundError("src/oomeventer/kernel/oom.bpf.o is missing: make object")
    inside = Path(__file__).parent / "inside"
    victim = DATA / "victim.c"
    base = _base(architecture)
    sources = sorted(file for top in (project, inside) for file in top.rglob("*") if _is_source(file))
    made = CACHE / f"root-{architecture.name}-{_digest([base.name, *_contents([*sources, victim])])}.img"
    if made.exists():
        return made
    tree = CACHE / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["cp", "-a", "--reflink=auto", base, tree], check=True)
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(project, tree / SITE / "oomeventer", ignore=ignore)
    shutil.copytree(inside, tree / "opt/inside", ignore=ignore)
    (tree / "opt/inside/init").rename(tree / "init")
    (tree / "init").chmod(0o755)
    build(tree / "opt", architecture.compiler)
    _compile(tree, architecture, SITE + "/oomeventer", "opt/inside")
    for older in CACHE.glob(f"root-{architecture.name}-*.img"):
        older.unlink()
    _ext4(tree, made)
    shutil.rmtree(tree)
    return made


def _base(architecture: Architecture) -> Path:
    """The tree without the project."""
    debian = Suite(SUITE, architecture.name).fetch_closure(*PACKAGES)
    made = CACHE / f"base-{_digest([*(file.name for file in debian), LOCK.read_bytes()])}"
    if made.exists():
        return made
    tree = CACHE / "base"
    shutil.rmtree(tree, ignore_errors=True)
    unpack(debian, tree)
    for directory in ("proc", "sys", "dev", "run", "tmp"):
        (tree / directory).mkdir(exist_ok=True)
    _install(tree, architecture)
    _compile(tree, architecture, f"usr/lib/{_python(tree)}", SITE)
    tree.rename(made)
    return made


def _python(tree: Path) -> str:
    """The tree's Python, such as python3.11."""
    return os.readlink(tree / "usr/bin/python3")


def _install(tree: Path, architecture: Architecture) -> None:
    """The project's dependencies, as locked, as wheels for the tree's Python, by this machine's pip."""
    target = ["--only-binary=:all:", "--implementation=cp", f"--python-version={_python(tree).removeprefix('python')}"]
    target += [f"--platform=manylinux_2_{minor}_{architecture.machine}" for minor in range(36, 16, -1)]
    target += [f"--platform=manylinux2014_{architecture.machine}", "--target", str(tree / SITE)]
    pip = [sys.executable, "-m", "pip", "install", "-q", "-q", "--no-compile"]
    subprocess.run([*pip, *target, "--require-hashes", "-r", str(LOCK)], check=True)


def _compile(tree: Path, architecture: Architecture, *directories: str) -> None:
    """Byte code, by the tree's own Python: an emulated processor takes seconds for what it would have to compile. Not
    where that Python does not run here."""
    if architecture.machine != os.uname().machine:
        return
    # The models of the Kubernetes client are many, and nothing here imports them.
    skip = ["-x", "kubernetes_asyncio/client/models|/tests?/|lib2to3"]
    root = [] if os.geteuid() == 0 else ["unshare", "--map-root-user"]
    python_of_tree = [*root, "chroot", str(tree), f"/usr/bin/{_python(tree)}"]
    subprocess.run([*python_of_tree, "-m", "compileall", "-q", *skip, *(f"/{d}" for d in directories)], check=True)


def _ext4(tree: Path, image: Path) -> None:
    used = sum(file.lstat().st_size // 4096 + 1 for file in tree.rglob("*")) * 4096
    unfinished = image.with_suffix(".tmp")
    with unfinished.open("wb") as file:
        file.truncate((used * 5 // 4 >> 20) + SPARE_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, unfinished], check=True)
    unfinished.rename(image)


def _is_source(file: Path) -> bool:
    return file.is_file() and "__pycache__" not in file.parts


def _contents(files: Iterable[Path]) -> list[str | bytes]:
    return [part for file in files for part in (str(file.relative_to(REPOSITORY)), file.read_bytes())]


def _digest(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]
