"""The zipapp: one file that Python 3.9 or newer runs. In: src/, and a folder with rich, as pip installed it by
requirements.lock. Out: that file, the same bytes for the same input. Usage: build.py FOLDER FILE.

Of rich's own requirements none is in it: they are for Markdown and for source code in colour.
"""

import stat
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SHEBANG = b"#!/usr/bin/env python3\n"
#: A Python before that could not read the rest.
MAIN = """import sys
if sys.version_info < (3, 9):
    sys.exit("error: kubectl oom needs Python 3.9 or newer; this is " + sys.version.split()[0])
if sys.argv[0].endswith("kubectl_complete-oom"):
    from kubectl_oom.complete import run
else:
    from kubectl_oom.__main__ import run
run()
"""
#: The oldest time that a zip file knows.
THEN = (1980, 1, 1, 0, 0, 0)


def content(site: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of what is in it."""
    yield "__main__.py", MAIN.encode()
    yield "LICENSE", (HERE.parent / "LICENSE").read_bytes()
    own = ((HERE / "src", "**/*.py"), (HERE / "src", "**/*.md"))
    for root, pattern in (*own, (site, "rich/**/*.py"), (site, "rich-*/**/LICENSE*")):
        for file in sorted(root.glob(pattern)):
            yield file.relative_to(root).as_posix(), file.read_bytes()


def build(site: Path, out: Path) -> None:
    """Write the file."""
    with out.open("wb") as file:
        file.write(SHEBANG)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, data in content(site):
                archive.writestr(zipfile.ZipInfo(name, THEN), data, zipfile.ZIP_DEFLATED)
    out.chmod(out.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


if __name__ == "__main__":
    build(Path(sys.argv[1]), Path(sys.argv[2]))
