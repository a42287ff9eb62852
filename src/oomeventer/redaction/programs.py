"""What is known of programs' command lines, by the program's name. Tables, and who looks into them.

Rules: a letter is here only if clients take a password, a community or a key by it, or if it is known to be harmless;
of a program that is not here the letters of ANY count.
"""

import re
from collections.abc import Mapping

#: Letters by which common clients take a password or user:password: redis-cli -a, mysql -p, curl -u.
ANY = frozenset("apPuUkK")

#: Beginning of a program's name: further letters behind which a secret stands.
SECRET_LETTERS: dict[str, str] = {
    "ldap": "wy",  # ldapsearch, ldapadd, ldapmodify, ldapdelete, ldapwhoami, ...
    "snmp": "cAX",  # snmpget, snmpwalk, snmpset, snmpbulkwalk, snmptrap, ...
    "ssh-keygen": "N",
    "curl": "bdEHU",
    "openssl": "SK",
    "influx": "t",
    "rpcclient": "AU",
    "impacket": "H",
    "kadmin": "wq",
    "cryptsetup": "d",
    "nsupdate": "y",
    "dig": "y",
    "security": "w",  # macOS
}

#: Beginning of a program's name: letters of ANY that are something else there, and harmless.
HARMLESS_LETTERS: dict[str, str] = {
    "python": "u",
    "java": "p",
    "node": "pu",
    "php": "a",
    "celery": "AP",
    "gunicorn": "kpu",
    "uwsgi": "p",
    "nginx": "p",
    "memcached": "pUu",
    "postgres": "pk",
    "sort": "ku",
}

# Nearly all words of a command are none of these.
_SECRET, _HARMLESS = tuple(SECRET_LETTERS), tuple(HARMLESS_LETTERS)

#: Names of programs, anywhere in a command, all of whose arguments may be secrets, though the name may not tell.
SECRET_PROGRAMS = frozenset(
    """
    htpasswd htdigest wpa_passphrase ldappasswd passwd chpasswd gpasswd smbpasswd vncpasswd mkpasswd saslpasswd2
    sshpass radtest kinit pdbedit oathtool totp secret-tool change_password gpg-preset-passphrase keyctl isql smbclient
    """.split()  # noqa: SIM905
)

#: Programs that run another one, named by one of their first arguments.
LAUNCHERS = re.compile(
    r"(?:python|pypy|ruby|perl|php|node|java|lua)[0-9.]*|(?:ba|da|a|z|k)?sh|deno|bun|npm|npx|yarn|pnpm|uv|uvx|poetry|pipenv"
    r"|bundle|rails|rake|dotnet|sudo|doas|env|exec|timeout|nice|ionice|chrt|nohup|stdbuf|xargs|watch|time"
    r"|tini|dumb-init|catatonit|gosu|su-exec|setpriv|runuser|busybox|kubectl|docker|podman"
)

#: Options right behind which a dotted name of a module or class may stand.
MODULE_OPTIONS = frozenset({"-m", "-jar", "-cp", "-classpath", "--class-path", "--class", "--module"})
#: Of these the ones behind which, after their value and perhaps further options, a main class comes.
CLASS_PATHS = frozenset({"-cp", "-classpath", "--class-path"})

#: Options of one dash and several letters that have no value, or their value behind them.
LONG_OPTIONS = frozenset(
    """
    -jar -cp -classpath -server -client -Xint -Xcomp -Xbatch -ea -esa -da -dsa -verbose:gc -verbose:class -verbose:jni
    -version -help
    """.split()  # noqa: SIM905
)

#: Options of one dash with a path right behind the colon.
PATH_OPTIONS = re.compile(r"(?P<name>-(?:javaagent|agentpath|Xloggc|Xbootclasspath/[ap]):)(?P<path>.+)")


def base(argument: str) -> str:
    """The name of a program without its directory, or what a title over argv begins with."""
    return argument.rpartition("/")[2].removeprefix("-").partition(":")[0].partition(" ")[0]


def secret_letters(program: str) -> frozenset[str]:
    """Letters behind which a secret stands, of this program and, as it may be any, of ANY."""
    return ANY | _letters(program, SECRET_LETTERS) if program.startswith(_SECRET) else ANY


def harmless_letters(program: str) -> frozenset[str]:
    """Letters of ANY that are harmless behind this program's own name."""
    return _letters(program, HARMLESS_LETTERS) if program.startswith(_HARMLESS) else frozenset()


def _letters(program: str, of: Mapping[str, str]) -> frozenset[str]:
    return frozenset(letter for name, letters in of.items() if program.startswith(name) for letter in letters)


def launches(program: str) -> bool:
    """Whether the program runs another one that its arguments name."""
    return LAUNCHERS.fullmatch(program) is not None


def runs_secretly(argument: str) -> bool:
    """Whether a word of a command is a program whose arguments may all be secrets: bare, or in a bin directory."""
    directory, _, name = argument.rpartition("/")
    return name in SECRET_PROGRAMS and (not directory or directory.endswith("bin"))
