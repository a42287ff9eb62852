"""What a hostile process, or runtime, would choose. In: nothing. Out: bytes.

Rules: PIECES are put together to names, arguments and variables; nothing of them may act on a terminal, a log, a format
string or a reader's eye. A secret is put into PLACES of the arguments and ENTRIES of the environment; the policy that
holds unless somebody chose another shows it in none of them.
"""

#: Without NUL, which no name, argument or variable can have.
PIECES = (
    b"\n2026-11-22 08:20:12,000 ERROR the agent was stopped",
    b"\r\x1b[2K\x1b[1A",
    b"\x1b]0;title\x07\x1b[31m",
    b"\x9b31m",
    "\u0085\u2028\u2029".encode(),
    "\u202egnp.exe\u2066\u2069\u200f".encode(),
    "\u200b\ufeff\u00ad\u3164\u2800\ufe0f\u034f".encode(),
    "\U000e0041\ue000\ufdd0\u0378".encode(),
    b"\xed\xa0\x80\xed\xbf\xbf",
    b"\xff\xfe\xc0\xaf\xf0\x9f",
    b"%s%n%(name)s%d%%{0.__class__.__mro__}{}$(id)`id`",
    b"\\x1b\\n\\u202e\\",
    b"'\"</script>&amp;",
    b'","pod":{"name":"other"},"x":"',
    b"\t\x0b\x0c\x1c\x7f\x08\x08",
    "\u00e9\u754c\U0001f600a\u0301".encode(),
    b" (deleted)",
    b"kubepods/burstable",
    b"***",
)

#: As the arguments of one program: `{}` is the secret.
PLACES = (
    ("--password={}",),
    ("--token", "{}"),
    ("--token", "--", "{}"),
    ("-p{}",),
    ("-p", "{}"),
    ("-u", "admin:{}"),
    ("postgresql://app:{}@db.example:5432/app?sslmode=off",),
    ("https://{}@example/",),
    ("-H", "Authorization: Bearer {}"),
    ("-Ddb.password={}",),
    ("-XX:OnOutOfMemoryError=curl {}",),
    ("--config=/etc/{}/x",),
    ("--{}",),
    ("--{}=1",),
    ("/run/{}",),
    ("/lib:/{}",),
    ("{}=1",),
    ("{}",),
    ("sh", "-c", "export PW={}; exec app"),
    ("--size=512m{}",),
    ("x\n--password\n{}",),
    ('{{"password": "{}"}}',),
    ("--credentials", "bob", "{}"),
    ("--password", "", "{}"),
    ("htpasswd", "-b", "{}"),
    ("--\u043f\u0430\u0440\u043e\u043b\u044c", "{}"),
    ("-----BEGIN", "{}"),
    ("-m", "{}"),
    ("-Da.max={}",),
    ("max={}",),
    ("{}.js",),
)

#: As variables: the ones that are shown at all (variables.MEMORY_VARIABLES), and others.
ENTRIES = (
    "API_KEY={}",
    "DATABASE_URL=postgresql://app:{}@db/app",
    "GOMEMLIMIT={}",
    "GOGC=off {}",
    "JAVA_TOOL_OPTIONS=-Xmx512m -Dtoken={} -Xms1g",
    "JAVA_OPTS=--password {}",
    "JAVA_OPTS=-Dx='1 {}' 2",
    "NODE_OPTIONS=--max-old-space-size=512 --title={}",
    "LD_PRELOAD=/lib/x.so:/{}/y.so",
    "MALLOC_CONF=prof_prefix:{},narenas:1",
    "MALLOC_{}=1",
    "RUBY_GC_{}=1",
    "{}=1",
    "{}",
)


def arguments(place: int, secret: str) -> list[bytes]:
    """The arguments with the secret in one of PLACES; any number will do."""
    return [part.format(secret).encode() for part in PLACES[place % len(PLACES)]]


def entry(place: int, secret: str) -> bytes:
    """The variable with the secret in one of ENTRIES; any number will do."""
    return ENTRIES[place % len(ENTRIES)].format(secret).encode()
