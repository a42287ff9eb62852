"""What krew installs. In: the zipapp; the URL of the folder in which the archive will be, such as a release's. Out:
kubectl-oom.tar.gz with it and the licence, the same bytes for the same input, and oom.yaml, filled, beside it.
Usage: fill.py ZIPAPP URL."""

import gzip
import hashlib
import io
import re
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def archive(zipapp: Path) -> bytes:
    """As tar.gz, without times and owners."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for file, mode in ((zipapp, 0o755), (ROOT / "LICENSE", 0o644)):
            entry = tarfile.TarInfo(file.name)
            entry.size, entry.mode = file.stat().st_size, mode
            with file.open("rb") as content:
                tar.addfile(entry, content)
    return out.getvalue()


def manifest(url: str, packed: bytes) -> str:
    """oom.yaml. The homepage is the URL's as far as its second name, which is a repository's."""
    version = re.search(r'^__version__ = "(.+)"$', (HERE.parent / "src/kubectl_oom/__init__.py").read_text(), re.M)
    homepage = re.match(r"https://[^/]+(/[^/]+){0,2}", url)
    if not version or not homepage:
        sys.exit(f"no URL of https: {url}")
    filled = {
        "VERSION": f"v{version[1]}",
        "HOMEPAGE": homepage[0],
        "URL": url.rstrip("/"),
        "SHA256": hashlib.sha256(packed).hexdigest(),
    }
    form = (HERE / "oom.yaml").read_text().partition("\n")[2]
    return re.sub(rf"\b({'|'.join(filled)})\b", lambda found: filled[found[0]], form)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    whole = archive(file)
    text = manifest(sys.argv[2], whole)
    file.with_name("kubectl-oom.tar.gz").write_bytes(whole)
    file.with_name("oom.yaml").write_text(text)
