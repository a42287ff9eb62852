"""What zizmor does not check of the workflows (`make workflows`).

In: the YAML files below .github. Out: one line for each finding, and exit status 1 if there is one. Rules: no key comes
twice; every job that has steps has a time limit; the top of each workflow gives no permission; scripts run in bash with
pipefail, take nothing from an expression but through the environment, and pass shellcheck, which is also asked for
variables that nobody sets.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SHELLCHECK = Path(sys.executable).with_name("shellcheck")
CHECKS = "quote-safe-variables,check-unassigned-uppercase"
GITHUB = [
    *("GITHUB_ACTOR", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_REF_NAME", "GITHUB_REPOSITORY"),
    *("GITHUB_REPOSITORY_OWNER", "GITHUB_SERVER_URL", "GITHUB_SHA"),
]
"""Of the variables that GitHub sets, those that are used here."""


class Once(yaml.SafeLoader):
    """YAML, in which a key that comes twice is an error, and not the last one's."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuses what PyYAML lets pass. Raises yaml.YAMLError."""
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: twice in one mapping: {', '.join(sorted(twice))}")
        return super().construct_mapping(node, deep)


def findings(file: Path) -> Iterator[str]:
    """Of one workflow."""
    workflow = yaml.load(file.read_text(), Once)
    if workflow.get("permissions") != {}:
        yield "permissions at the top are not {}"
    if workflow.get("defaults") != {"run": {"shell": "bash"}}:
        yield "scripts do not run with pipefail (defaults: run: shell: bash)"
    for name, job in workflow["jobs"].items():
        if "steps" in job and "timeout-minutes" not in job:
            yield f"{name}: no time limit"
        for number, step in enumerate(job.get("steps", ()), 1):
            where = f"{name}, step {number} ({step.get('name', step.get('uses'))})"
            script = step.get("run", "")
            if "${{" in script:
                yield f"{where}: an expression in a script; pass it in env"
            elif script:
                yield from (f"{where}: {line}" for line in shellcheck(script, step.get("env", {})))


def shellcheck(script: str, environment: Iterable[str]) -> list[str]:
    """What shellcheck finds in it, one line each; also variables that neither it, nor its step, nor GitHub sets."""
    given = f"export {' '.join(f'{name}=x' for name in (*GITHUB, *environment))};"
    command = [SHELLCHECK, "--shell=bash", "--format=gcc", f"--enable={CHECKS}", "-"]
    done = subprocess.run(command, input=f"{given} {script}", capture_output=True, text=True, check=False)
    if done.returncode > 1:  # 0: nothing found, 1: something
        raise RuntimeError(f"shellcheck failed: {done.stderr}")
    return done.stdout.splitlines()


def main() -> int:
    """Exit status: 0, nothing found; 1, something."""
    workflows = sorted(HERE.glob("workflows/*.y*ml"))
    found = [f"{file.relative_to(HERE)}: {finding}" for file in workflows for finding in findings(file)]
    yaml.load((HERE / "dependabot.yml").read_text(), Once)
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found or not workflows else 0


if __name__ == "__main__":
    sys.exit(main())
