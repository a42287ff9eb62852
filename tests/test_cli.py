"""The command line, by the real main(). In: argv and environ. Out: what is printed, and the exit status."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from oomeventer import __version__
from oomeventer.cli import main
from oomeventer.command_line import COMMANDS
from oomeventer.setting_table import SETTINGS, Setting

README = Path(__file__).parent.parent / "README.md"


@dataclass(frozen=True, slots=True)
class Done:
    status: int
    out: str
    mistakes: list[str]


Program = Callable[..., Done]


@pytest.fixture
def program(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """main() in this process, without a variable of the machine's. Each line on stderr has the program's name."""
    for variable in [name for name in os.environ if name.startswith("OOMEVENTER_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*argv: str, **environ: str) -> Done:
        with monkeypatch.context() as patched:
            for name, value in environ.items():
                patched.setenv(name, value)
            status = main(argv)
        out, err = capsys.readouterr()
        lines = err.splitlines()
        assert all(line.startswith("oomeventer: ") for line in lines)
        return Done(status, out, [line.removeprefix("oomeventer: ") for line in lines])

    return run


def options(text: str) -> list[str]:
    """The flags that a help lists."""
    return [line.split()[0] for line in text.splitlines() if line.startswith("  --")]


def of(command: str) -> list[Setting]:
    return [setting for setting in SETTINGS if command in setting.commands]


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["--hel"]], ids=" ".join)
def test_help_of_the_program(program: Program, words: list[str]) -> None:
    """It lists each command and what it does, and no command's options."""
    done = program(*words)
    assert (done.status, done.mistakes) == (0, [])
    assert done.out.startswith("usage: oomeventer COMMAND [OPTION...]\n")
    for name, command in COMMANDS.items():
        assert [line.split(maxsplit=1)[1] for line in done.out.splitlines() if line.split()[:1] == [name]] == [
            command.help
        ]
    assert options(done.out) == ["--version"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(program: Program, command: str) -> None:
    """It has each of the command's options, with meaning and default, and none of another's."""
    done = program(command, "--help")
    assert (done.status, done.mistakes) == (0, [])
    assert done.out.startswith(f"usage: oomeventer {command} [OPTION...]\n")
    own = {"trace": ["--json"], "history": ["--json", "--follow"]}.get(command, [])
    assert options(done.out) == own + [setting.flag for setting in of(command)]
    words = " ".join(done.out.split())
    for setting in of(command):
        default = f" (default: {setting.default})" if setting.default else ""
        assert f"{setting.help}{default}" in words
    assert all(word in words for word in own)
    assert program(command, "-h") == program("help", command) == done


@pytest.mark.parametrize("columns", ["40", "80", "300"])
def test_help_fits_its_terminal(program: Program, columns: str) -> None:
    """Up to 120 columns, and no option's name is broken in two."""
    for command in COMMANDS:
        out = program(command, "--help", COLUMNS=columns).out
        lines = out.splitlines()
        # In a narrow one a word can be longer than its column.
        assert max(map(len, lines)) <= min(max(int(columns), 60), 120)
        assert not [line for line in lines if line.endswith("-")]


@pytest.mark.parametrize("words", [["--version"], ["version"], ["--vers"]], ids=" ".join)
def test_version(program: Program, words: list[str]) -> None:
    assert program(*words) == Done(0, f"oomeventer {__version__}\n", [])


def test_the_readme_has_each_command() -> None:
    """In a row of its table, with `--json` where it is one of its options."""
    rows = dict(re.findall(r"^\| `oomeventer ([a-z]+)` \| (.*) \|$", README.read_text(), re.MULTILINE))
    assert list(rows) == list(COMMANDS)
    assert [name for name, text in rows.items() if "`--json`" in text] == ["trace", "history"]


def test_no_command(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    """The help, as for wrong usage: on stderr, so that no pipe takes it for what a command prints."""
    text = program("--help").out
    assert main([]) == 2
    assert capsys.readouterr() == ("", text)


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ("fly", "fly is no command; there are run, trace, demo, doctor, history and detach"),
        ("trac", "trac is no command: did you mean trace?"),
        ("help histry", "histry is no command: did you mean history?"),
        (
            "--log-level debug run",
            "--log-level is an option of 'run', 'trace', 'demo', 'doctor', 'history' and 'detach': "
            "write it after the command",
        ),
        ("TRACE", "TRACE is no command: did you mean trace?"),
        ("--json trace", "--json is an option of 'trace' and 'history': write it after the command"),
        ("--listen=:1 run", "--listen is an option of 'run': write it after the command"),
        ("--helo", "--helo is no option: did you mean --help?"),
        ("--jsn trace", "--jsn is no option: see 'oomeventer --help'"),
        ("-- trace", "-- is no option: see 'oomeventer --help'"),
        ("--version=3", "argument --version: ignored explicit argument '3'"),
        ("run --kubeconfg", "--kubeconfg is no option: did you mean --kubeconfig?"),
        ("run --json", "--json is an option of 'trace' and 'history', not of 'run'"),
        ("trace --kubeconfig /x", "--kubeconfig is an option of 'run' and 'doctor', not of 'trace'"),
        ("detach --give-up-seconds=5", "--give-up-seconds is an option of 'run', not of 'detach'"),
        ("trace --kubeconfg", "--kubeconfg is no option: did you mean --kubeconfig, an option of 'run' and 'doctor'?"),
        ("trace --jsn", "--jsn is no option: did you mean --json?"),
        ("trace --JSON", "--JSON is no option: did you mean --json?"),
        ("demo --budget 3", "--budget is no option: see 'oomeventer demo --help'"),
        ("history --json=yes", "--json takes no value"),
        ("demo stray", "stray is not expected: 'demo' takes options only"),
        ("run -- stray", "-- is no option: see 'oomeventer run --help'"),
        ("run -", "- is no option: see 'oomeventer run --help'"),
        ("run -x", "-x is no option: see 'oomeventer run --help'"),
        ("run --object 3", "--object is ambiguous: --object-burst or --object-seconds"),
        ("history --log", "--log is ambiguous: --log-level or --log-format"),
        ("run --node-name", "--node-name needs a value"),
        ("run --node-n --log-level=info", "--node-name needs a value"),
        (
            "run --cri-patience -1",
            "--cri-patience-seconds needs a value; one that begins with '-' is written --cri-patience-seconds=-1",
        ),
        ("run --cri-patience=-1", "--cri-patience-seconds '-1' must be a number of seconds from 0 to 600"),
        ("run --log-level info --log-level loud", "--log-level 'loud' is not one of debug, info, warning, error"),
    ],
)
def test_a_mistake(program: Program, words: str, mistake: str) -> None:
    """One line, which says what would do; status 2; nothing is run or printed."""
    assert program(*words.split()) == Done(2, "", [mistake])


def test_mistakes_of_flags_and_variables(program: Program) -> None:
    """All at once, each on a line of its own."""
    done = program("trace", "--jsn", "--ring=3", "--listen=:1", OOMEVENTER_LOG_LEVEL="loud", OOMEVENTER_RING="4Mi")
    assert done.status == 2
    assert done.mistakes == [
        "--jsn is no option: did you mean --json?",
        "--listen is an option of 'run', not of 'trace'",
        "OOMEVENTER_RING is no setting: did you mean OOMEVENTER_RING_BYTES?",
        "--ring-bytes '3' must be a power of two from 65536 to 1073741824, such as 1Mi or 262144",
        "OOMEVENTER_LOG_LEVEL 'loud' is not one of debug, info, warning, error",
    ]


def test_help_in_spite_of_mistakes(program: Program) -> None:
    """Who asks for help is not scolded."""
    assert program("trace", "--jsn", "--help") == program("trace", "--help")


def test_the_last_of_a_repeated_flag_counts(program: Program, tmp_path: Path) -> None:
    """Also of one that is written in full and one that is shortened."""
    for words in (["--pins=x", f"--pins={tmp_path}/p"], ["--pins", "x", "--pi", f"{tmp_path}/p"]):
        assert program("detach", *words).out == "nothing is attached that would outlive an agent\n"


def test_an_environment_for_all_commands(program: Program, tmp_path: Path) -> None:
    """In an agent's container every command runs with the agent's variables: those of others are not looked at."""
    agents = {"OOMEVENTER_KUBECONFIG": "/nowhere", "OOMEVENTER_LISTEN": "nonsense", "OOMEVENTER_PORT": "tcp://x"}
    done = program("detach", OOMEVENTER_PINS=str(tmp_path / "p"), **agents)
    assert done == Done(0, "nothing is attached that would outlive an agent\n", [])


def test_what_is_broken_is_status_1() -> None:
    """Without a cluster, or without the right to look into the kernel, `run` says so in its last line and ends."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KUBE", "OOMEVENTER_"))}
    nothing = ["--cri-endpoint", "none", "--pins", "none", "--journal", "none"]
    command = [sys.executable, "-m", "oomeventer", "run", *nothing]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines()[-1].startswith("oomeventer: ")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", ["--help", "run --help", "doctor"])
def test_a_reader_that_has_gone(words: str) -> None:
    """As `| head` is: the program ends in silence."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "oomeventer", *words.split()]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("words", "less"),
    [
        ("--version", ["uvloop", "asyncio", "oomeventer.settings"]),
        ("run --help", ["uvloop", "asyncio", "oomeventer.kernel", "oomeventer.incident", "oomeventer.cluster"]),
        ("history --journal /nowhere", ["kubernetes_asyncio", "grpclib", "oomeventer.cluster"]),
    ],
)
def test_what_is_not_imported(words: str, less: list[str]) -> None:
    """A start takes no more time and memory than its command is worth."""
    program = f"import sys; from oomeventer.cli import main; main({words.split()}); print(*sys.modules, sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    modules = done.stdout.splitlines()
    assert "oomeventer.command_line" in modules
    assert not set(less) & set(modules)
