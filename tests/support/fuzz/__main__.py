"""One target under libFuzzer: `PYTHONPATH=tests/support python -m fuzz TARGET [-option=value ...] [DIRECTORY or FILE]`.

In: libFuzzer's options (-max_total_time=600, -runs=20000, -seed=1; -help=1 lists them) and the corpus, a directory to
which the seeds are written first; build/fuzz/TARGET if none is named. A file, such as one that an earlier run left, is
run alone. Out: exit status 0, or 77 with the input that failed in crash-*, beside the corpus.
Rules: the program is imported while atheris rewrites what it imports; so nothing here imports it before.
"""

import resource
import sys
from pathlib import Path

import atheris

#: What reads a runtime's bytes before the program does.
LIBRARIES = ["betterproto2", "grpclib", "h2", "hpack", "hyperframe"] if {"cri", "wire"} & set(sys.argv) else []

with atheris.instrument_imports(include=["oomeventer", *LIBRARIES]):
    from fuzz import seeds, targets
    from fuzz.planted import planted

#: Larger than the largest record (bpf/oom.h), and no larger, or libFuzzer would spend its time on long inputs.
MAX_BYTES = 1 << 15
#: What the process may map: no input of that length is worth more.
MEMORY_BYTES = 1 << 30


def main(argv: list[str]) -> None:
    """Hand over to libFuzzer, which ends the process."""
    if len(argv) < 2 or argv[1] not in targets.TARGETS:
        sys.exit(f"usage: python -m fuzz TARGET [-option=value ...] [DIRECTORY or FILE]; {', '.join(targets.TARGETS)}")
    name = argv[1]
    options = [option for option in argv[2:] if option.startswith("-")]
    places = [Path(place) for place in argv[2:] if not place.startswith("-")] or [Path("build/fuzz", name)]
    if not places[0].is_file():
        places[0].mkdir(parents=True, exist_ok=True)
        for number, seed in enumerate(seeds.SEEDS[name]()):
            places[0].joinpath(f"seed-{number:02}").write_bytes(seed)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    artifacts = f"-artifact_prefix={places[0].parent}/"
    target = atheris.instrument_func(planted) if name == "planted" else targets.TARGETS[name]
    atheris.Setup([argv[0], f"-max_len={MAX_BYTES}", artifacts, *options, *map(str, places)], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
