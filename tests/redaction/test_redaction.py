"""What of a victim's command and environment leaves the node: shapes known to be harmless, and no token."""

import base64
import re
import shlex
import string
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from oomeventer.redaction.policy import MASK, Redaction, parse_arguments, parse_environment, quote
from oomeventer.redaction.spec_words import digests, unmask, words_in_clear
from oomeventer.redaction.variables import MEMORY_VARIABLES

SAFE = Redaction()


def shown(command: str, comm: str = "hog") -> str:
    """The redacted command on one line; `command` is split as a shell would."""
    return quote(SAFE.command([word.encode() for word in shlex.split(command)], comm.encode()))


@pytest.mark.parametrize(
    "command",
    [
        "hog 100",
        "hog -v --verbose -n 12 --ratio 0.75 --offset -3",
        "hog --size 512m --max 1.5Gi --buffer 64MB --share 80% --share=12.5%",
        "hog --every 30s --timeout=250ms --wait 1h30m",
        "hog --cache=true --swap=off --gc=YES",
        "hog --max-old-space-size=4096 --max_semi_space_size 64",
        "/usr/bin/python3.11 -m /srv/app/main.py",
        "/usr/lib/jvm/java-17-openjdk-amd64/bin/java -Xmx512m -Xms64M -Xss1m -Xmn32m",
        "/opt/java/openjdk/bin/java -XX:+UseG1GC -XX:-UsePerfData -XX:MaxRAMPercentage=75.0",
        "hog -XX:MaxMetaspaceSize=256m -XX:HeapDumpPath=/var/dumps/heap.hprof",
        "./server --config=../etc/app.yaml /home/alice/data/",
        "hog --file /var/run/secrets/x --lib /usr/lib/x86_64-linux-gnu/libjemalloc.so.2",
        "hog narenas:1,tcache:false,dirty_decay_ms:5000 glibc.malloc.arena_max=2",
        "hog --horizontal-pod-autoscaler-downscale-stabilization=5m",
        "hog - -- --http2=on",
        "hog ''",
        "hog --limit 0x20000000",
        "hog --wiredTigerCacheSizeGB 2",
        "hog -c shared_buffers=2GB -c max_connections=200 -d memory_limit=512M -c fsync=off",
        "hog --conf spark.executor.memory=1024m --conf=spark.driver.memory=2g",
        "hog -memory.allowedPercent=45.0 -retentionPeriod=30d -config.file=/etc/hog.yml",
        "hog -Dio.netty.maxDirectMemory=0 -Djava.io.tmpdir=/tmp -Dspring.jmx.enabled=false",
        "hog -server -cp app.jar:/lib/util.jar -Xmx1g com.example.Main 8080",
        "hog -jar target/app-1.2.3.jar",
        "hog -XX:NativeMemoryTracking=summary -javaagent:/opt/agent.jar",
        "hog --bind 0.0.0.0:8000 --host=localhost 127.0.0.1:80",
        "hog server.js train.py src/jobs/export.rb",
        "hog -m http.server --class org.example.Main",
        "/usr/bin/python3 -u -m celery --max-tokens 4096",
        "/usr/bin/python3 /usr/bin/gunicorn -u 1000 -p 1",
    ],
)
def test_harmless_shapes_are_shown(command: str) -> None:
    """Option names, numbers, sizes, durations, plain paths and memory settings come out as they went in."""
    assert shown(command) == command


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        # Passwords the way careless developers pass them.
        ("mysql -phunter2", "*** -p***"),
        ("mysql -p1234 -uroot", "*** -p*** -u***"),
        ("redis-cli -a pw", "*** -a ***"),
        ("redis-cli -a 1234", "*** -a ***"),
        ("curl -u user:1234 https://h/", "*** -u *** ***"),
        ("psql postgresql://u:p@h/db", "*** ***"),
        ("aws --api-key AKIAIOSFODNN7EXAMPLE", "*** --api-key ***"),
        ("openssl -passin pass:abc", "*** -p*** ***"),
        ("hog -passin 1234", "hog -p*** ***"),
        ("hog --pin 1234 --pin=1234", "hog --pin *** --pin=***"),
        ("hog --pin= 1234", "hog --pin= ***"),
        ("hog --userPin 1234 --DB_PWD=12 --otp 123456", "hog --userPin *** --DB_PWD=*** --otp ***"),
        ("hog --password --looks-like-an-option", "hog --password ***"),
        ("hog --token --auth 1234", "hog --token *** ***"),
        ("hog --password-file /etc/x", "hog --password-file ***"),
        ("htpasswd 1234", "*** ***"),
        ("hog passwd 1234 5678", "hog *** *** ***"),
        ("hog Authorization: 1234", "hog *** ***"),
        ("hog --session=12 --salt 99 --cookie=a --signature 77", "hog --session=*** --salt *** --cookie=*** "
         "--signature ***"),
        # Words, also subcommands, are masked; so is everything in a script.
        ("sh -c 'export PW=hunter2; run'", "sh -c ***"),
        ("hog serve true", "hog *** ***"),
        ("hog --name=value --level=info", "hog --name=*** --level=***"),
        ("hog 'two words' 'line\nbreak' 'tab\t1'", "hog *** *** ***"),
        ("hog KEY=1234 key=/etc/x GOGC=off", "hog *** *** ***"),
        ("hog user:1234 host:8080 arenas:1", "hog *** *** ***"),
        ("hog alice@example.org '{\"a\": 1}' '[1]' http://h/ 10.0.0.1", "hog *** *** *** *** ***"),
        ("hog 'C:\\Windows\\x.exe' /p:1234 '\\\\host\\share'", "hog *** *** ***"),
        ("hog /etc/x?token=1 /etc/a=b /etc/a:b @/etc/x ~/x", "hog *** *** *** *** ***"),
        ("hog // /a//b", "hog *** ***"),
        # Single-dash words may be a letter and its value.
        ("java -Dx=y -servers -jars /app/app.jar", "*** -D*** -s*** -j*** /app/app.jar"),
        ("hog -Xmxhunter -Xmx512m,x -Xdebug -j4", "hog -X*** -X*** -X*** -j***"),
        ("hog -XX:OnOutOfMemoryError=run -XX:+Use2abc", "hog -XX:OnOutOfMemoryError=*** -X***"),
        ("hog -é -1x", "hog *** ***"),
        # Tokens.
        ("hog 550e8400-e29b-41d4-a716-446655440000", "hog ***"),
        ("hog /pods/550e8400-e29b-41d4-a716-446655440000/x", "hog ***"),
        ("hog d41d8cd98f00b204e9800998ecf8427e /d41d8cd98f00b204e9800998ecf8427e", "hog *** ***"),
        ("hog /deadbeefcafe", "hog ***"),
        ("hog wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "hog ***"),
        ("hog /wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "hog ***"),
        ("hog eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl", "hog ***"),
        ("hog ./x7k2-9fj3 /1234-5678-9012-3456", "hog *** ***"),
        ("hog --wJalrXUtnFEMIK7MDENG --a1b2c3d4e5 --k8f3x9=5", "hog *** *** ***"),
        ("hog --abcdefghijklmnopqrstuvwxyz --AbCdEfGhIj", "hog *** ***"),
        ("hog /hunter22 /srv/ab12-cd34 /12345 --hunter22", "hog *** *** *** ***"),
        (f"hog {'/ab' * 86} --{'-'.join(['word'] * 14)}", "hog *** ***"),
        ("hog 1234567890123 4111111111111111 555-1234", "hog *** *** ***"),
        ("hog \u0661\u0662 \uff11", "hog *** ***"),
        ("hog 0x1234abcd --size=fal\u017fe", "hog *** --size=***"),
        # Masking goes on until the next option.
        ("hog AUTH default 4829 --size 5m", "hog *** *** *** --size 5m"),
        ("hog --credentials bob 4829 5", "hog --credentials *** *** ***"),
        ("hog --password -- 4829", "hog --password *** ***"),
        ("hog --password '' 4829", "hog --password *** ***"),
        ("hog --password=x 4829 --size 5m", "hog --password=*** *** --size 5m"),
        ("hog --pin 1 -3", "hog --pin *** ***"),
        ("hog --auth --size 5m", "hog --auth *** 5m"),
        # Programs whose name tells, or that are known; wherever they stand.
        ("htpasswd -b /etc/x bob 4829", "*** *** *** *** ***"),
        ("wpa_passphrase home 4829", "*** *** ***"),
        ("ldappasswd -s 4829 --size 5m", "*** *** *** *** ***"),
        ("change_password --to 4829", "*** *** ***"),
        ("/opt/passgen --length 4829", "/opt/passgen *** ***"),
        ("hog htpasswd -b /etc/x 4829", "hog *** *** *** ***"),
        ("hog /usr/bin/oathtool -b 4829", "hog /usr/bin/oathtool *** ***"),
        ("/usr/bin/python3 change_password.py --to 4829", "/usr/bin/python3 change_password.py *** ***"),
        ("/usr/bin/author --to 4829", "/usr/bin/author --to 4829"),
        # Letters, by program, and bundled.
        ("/bin/ldapsearch -x -w 4829 -y /x", "/bin/ldapsearch -x -w *** -y ***"),
        ("/bin/snmpget -c 4829 -A 4829 -X 4829 -v 2", "/bin/snmpget -c *** -A *** -X *** -v 2"),
        ("/bin/ssh-keygen -N 4829 -P 4829 -b 2048", "/bin/ssh-keygen -N *** -P *** -b 2048"),
        ("/bin/ldapsearch -LLLw 4829 -b x", "/bin/ldapsearch -L*** *** -b ***"),
        ("hog ldapsearch -w 4829", "hog *** -w ***"),
        ("hog -w 4829 -xw 4829 -su 4829", "hog -w 4829 -x*** 4829 -s*** ***"),
        ("/usr/bin/python3 -u app.py -u 4829", "/usr/bin/python3 -u app.py -u ***"),
        # Other names.
        ("hog --psw 1 --puk 1 --cvc 1 --verification-code 1 --community 1 --tan 1",
         "hog --psw *** --puk *** --cvc *** --verification-code *** --community *** --tan ***"),
        ("hog --kennwort 1 --senha 1 --haslo 1", "hog --kennwort *** --senha *** --haslo ***"),
        ("hog --\u043f\u0430\u0440\u043e\u043b\u044c 1 \u5bc6\u7801 1", "hog *** *** *** ***"),
        ("hog --p\u0430ss 1 --\uff50\uff49\uff4e 1 --p4ssw0rd 1", "hog *** *** *** *** *** ***"),
        ("hog --to\u00adken 1", "hog *** ***"),
        ("hog 10.0.0.7:80 localhosts:80 localhost:482913 0.0.0.0:x", "hog *** *** *** ***"),
        # Keys.
        ("hog -----BEGIN RSA 4829 --size 5m", "hog *** *** *** *** ***"),
        ("hog '-----BEGIN KEY' 4829", "hog *** ***"),
        ("hog ---size 5m", "hog *** 5m"),
        # Settings whose name does not say what they measure, or tells; names that are no module's.
        ("hog room=4829 x.y=1 max=hunter -Dx=1 -Dpin.max=1 -password.max=1", "hog *** *** *** -D*** -D*** -p***"),
        ("hog --conf=room=4829 --conf=pin.max=1", "hog --conf=*** --conf=***"),
        ("hog a.hunter -cp a.hunter org.example.Main a.hunter", "hog *** -cp a.hunter org.example.Main ***"),
        ("hog hunter2.js 12.py a8f3k2/x.js .js", "hog *** *** *** ***"),
    ],
)  # fmt: skip
def test_all_else_is_masked(command: str, expected: str) -> None:
    """What could be a secret is masked, and what follows a name that sounds like one whatever its shape."""
    comm = "sh" if command.startswith("sh ") else "hog"
    assert shown(command, comm) == expected


@pytest.mark.parametrize(
    ("argument", "comm", "expected"),
    [
        ("/usr/sbin/nginx", "worker", "/usr/sbin/nginx"),
        ("python3", "python3", "python3"),
        ("hunter2", "python3", MASK),
        ("-bash", "bash", "bash"),
        ("/opt/a8f3k2m9x1/hog", "hog", "***/hog"),
        ("/hog2x9k4", "hog2x9k4", "/hog2x9k4"),
        ("bin/hog", "hog", "***/hog"),
        ("a-very-long-program", "a-very-long-pro", "a-very-long-program"),
        ("a-very-long-proX9f3k2", "a-very-long-pro", "a-very-long-pro***"),
        ("hogX9f3k2", "hog", MASK),
        ("nginx: worker process", "nginx", "nginx***"),
        ("postgres: alice orders 10.0.0.7(4242) idle", "postgres", "postgres***"),
        ("hunter2", "", MASK),
        ("a8f3k2m9x1/", "", MASK),
        ("", "hog", MASK),
    ],
)
def test_program_name(argument: str, comm: str, expected: str) -> None:
    """argv[0] shows a plain path, or what comm says anyway."""
    assert SAFE.command([argument.encode()], comm.encode()) == (expected,)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([b"hog", b"--size", b"512"], ("hog", "--size", MASK)),
        ([b"hog", b"/hunter"], ("hog", MASK)),
        ([b"hog"], (MASK,)),
        ([], ()),
    ],
)
def test_a_cut_argument_is_not_shown(argv: list[bytes], expected: tuple[str, ...]) -> None:
    """Half a word may be half a secret, or another figure; in a variable, too."""
    assert SAFE.command(argv, b"hog", cut=True) == expected
    assert SAFE.environ([b"GOGC=1", b"GOMEMLIMIT=51"], cut=True) == {"GOGC": "1", "GOMEMLIMIT": MASK}


def alphanumeric_runs(token: str) -> list[str]:
    return re.findall(r"[A-Za-z0-9]+", token)


# The only ways in which six or more letters and digits are meant to be shown.
KNOWN_SHAPES = re.compile(
    r"[0-9]{1,7}(?:[kKmMgGtT]i?[bB]?|B|ns|us|ms|s|m|h|d)"
    r"|(?:X(?:mx|ms|ss|mn))?[0-9]{1,12}[kKmMgGtT]?"  # the JVM's sizes
    r"|(?:[0-9]{1,4}h)?(?:[0-9]{1,4}m)?(?:[0-9]{1,4}s)?"
    r"|0x[0-9a-fA-F]{1,5}0{4,}"
    r"|(?:python|java|openjdk|node|tomcat|jetty|hadoop|spark|scala|postgresql|ruby|perl|php|lua|ubuntu|debian"
    r"|oauth|http|ipv)[0-9]{1,3}|base64"
)


def is_token(text: str) -> bool:
    """Six letters and digits in a row, of both kinds, and neither a quantity nor a version of something."""
    return any(
        len(run) >= 6
        and re.search("[A-Za-z]", run)
        and re.search("[0-9]", run)
        and not KNOWN_SHAPES.fullmatch(run)
        and "G1" not in run
        for run in alphanumeric_runs(text)
    )


secret_bytes = st.binary(min_size=9, max_size=40)
tokens = (
    secret_bytes.map(bytes.hex)
    | secret_bytes.map(lambda raw: base64.b64encode(raw).decode())
    | secret_bytes.map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | secret_bytes.map(lambda raw: "/" + base64.b64encode(raw).decode())
    | st.uuids().map(str)
    | st.text(string.ascii_letters + string.digits, min_size=6, max_size=30)
    | st.from_regex(r"[a-z]{3,12}[0-9]{1,3}", fullmatch=True)
).filter(is_token)

PLACES = [
    "{}", "--{}", "--{}=1", "-{}", "-p{}", "--name={}", "--name=x,{}", "{}=1", "KEY={}", "-Dx={}", "-D{}=1",
    "/{}", "/etc/{}", "/{}/x", "./{}.txt", "../a-{}", "/etc/x:{}", "/etc/x?{}", "-XX:+{}", "-XX:Max{}=1",
    "-XX:Max={}", "-Xmx{}", "-Xmx512m,{}", "narenas:{}", "narenas:1,{}:1", "glibc.malloc.{}=1",
    "target/{}.jar", "{}.js", "room_max={}", "{}_max=1", "-a.{}=1", "-Da.max={}",
    "https://u:{}@h/", '{{"a":"{}"}}', "a b {}", "\n{}", "'{}'", "100 {}", "{}%", "-{}m", "{}\x00", "--{}.{}",
]  # fmt: skip
places = st.sampled_from(PLACES)


def assert_no_trace(token: str, text: str) -> None:
    """Not six characters in a row of any part of the token that mixes letters and digits."""
    for run in alphanumeric_runs(token):
        if is_token(run):
            assert not [run[i : i + 6] for i in range(len(run) - 5) if run[i : i + 6] in text], text


@given(
    tokens,
    places,
    st.lists(st.sampled_from(["--name", "-v", "100", "/etc/x", "--pin", "word", "-m", "-cp", "-jar"]), max_size=3),
)
def test_no_token_gets_out_of_the_arguments(token: str, place: str, before: list[str]) -> None:
    """A random token anywhere in the arguments, argv[0] included, leaves no trace in the output; also where the Pod's
    spec says all of them."""
    argument = place.format(*[token] * place.count("{}"))
    for argv in (["hog", *before, argument, "1"], [argument, *before]):
        raw = [word.encode() for word in argv]
        shown = SAFE.command(raw, b"hog")
        assert_no_trace(token, quote(shown))
        masked = digests(raw, SAFE.words(raw, b"hog"), b"key")
        assert_no_trace(token, quote(unmask(shown, masked, words_in_clear(argv), b"key")))


@given(tokens, places, st.sampled_from(sorted(MEMORY_VARIABLES)), st.sampled_from(["{}", "-Xmx1g {}", "{} 1"]))
def test_no_token_gets_out_of_the_environment(token: str, place: str, name: str, value: str) -> None:
    """A random token anywhere in a listed variable, its name included, leaves no trace in the output."""
    argument = value.format(place.format(*[token] * place.count("{}")))
    name = name.replace("*", "X")
    entries = [f"{name}={argument}", f"{name}_{token}=1", f"{token}={argument}"]
    assert_no_trace(token, str(SAFE.environ([entry.encode() for entry in entries])))


@given(st.lists(st.binary(max_size=30), max_size=8), st.binary(max_size=16))
def test_any_bytes_will_do(argv: list[bytes], comm: bytes) -> None:
    """No bytes raise, no argument is lost, and the line that comes out is one line of plain characters."""
    for policy in ("safe", "all"):
        command = Redaction(arguments=policy).command(argv, comm)
        assert len(command) == len(argv)
        assert all(word.isprintable() for word in command)
        assert shlex.split(quote(command)) == list(command)


@given(
    st.sampled_from(
        ["password", "apiKey", "auth-token", "PIN", "client_secret", "otp", "psw", "puk", "cvc", "sms-code", "kennwort"]
    ),
    st.integers(0, 10**12 - 1),
)
def test_a_number_after_a_secret_name_is_masked(name: str, number: int) -> None:
    """The name's rule comes on top of the shape's."""
    argv = [b"hog", f"--{name}".encode(), str(number).encode(), f"--{name}={number}".encode()]
    assert SAFE.command(argv, b"hog") == ("hog", f"--{name}", MASK, f"--{name}={MASK}")


def test_ten_thousand_long_arguments_are_quick() -> None:
    """A command line as large as the kernel allows costs no more than a moment."""
    argv = [b"hog", *[b"--a=/" + b"a/" * 100] * 10_000, *[b"\xff" * 2_000_000] * 10]
    started = time.process_time()
    command = SAFE.command(argv, b"hog")
    assert len(command) == len(argv)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("GOMEMLIMIT=512MiB", "512MiB"),
        ("GOGC=off", "off"),
        ("JAVA_TOOL_OPTIONS=-Xmx512m -Djavax.net.ssl.keyStorePassword=changeit", "-Xmx512m -D***"),
        ("JAVA_TOOL_OPTIONS=-Dpin='1 2' -Xmx512m", MASK),
        ("JAVA_TOOL_OPTIONS=-Xmx512m -Dpin=\"1 2\" 3", "-Xmx512m ***"),
        ("JAVA_OPTS=--pin 1234 -Xmx1g", "--pin *** -Xmx1g"),
        ("NODE_OPTIONS=--max-old-space-size=512 -r /app/x.js", "--max-old-space-size=512 -r /app/x.js"),
        ("MALLOC_ARENA_MAX=2", "2"),
        ("MALLOC_TRIM_THRESHOLD_=131072", "131072"),
        ("MALLOC_CONF=narenas:1,background_thread:true", "narenas:1,background_thread:true"),
        ("MALLOC_CONF=prof_prefix:hunter", MASK),
        ("GLIBC_TUNABLES=glibc.malloc.perturb=2:glibc.rtld.nns=4", "glibc.malloc.perturb=2:glibc.rtld.nns=4"),
        ("LD_PRELOAD=/usr/lib/libjemalloc.so.2:/lib/x.so", "/usr/lib/libjemalloc.so.2:/lib/x.so"),
        ("PYTHONMALLOC=debug", "debug"),
        ("DOTNET_GCHeapHardLimit=0x20000000", "0x20000000"),
        ("RUBY_GC_HEAP_0_INIT_SLOTS=10000", "10000"),
        ("WEB_CONCURRENCY=4", "4"),
        ("WEB_CONCURRENCY=", ""),
        ("WEB_CONCURRENCY=secret", MASK),
        ("OPENSEARCH_JAVA_OPTS=-Xmx1g", "-Xmx1g"),
        ("JAVA_MAX_MEM_RATIO=50", "50"),
        ("JAVA_OPTS_APPEND=-Dpin=1 -Xmx1g", "-D*** -Xmx1g"),
        ("SPARK_JAVA_OPT_12=-Dspark.executor.memory=1024m", "-Dspark.executor.memory=1024m"),
        ("MAX_HEAP_SIZE=4G", "4G"),
        ("SERVER_JVMFLAGS=-Xmx512m", "-Xmx512m"),
        ("UWSGI_WORKERS=4", "4"),
        ("RAILS_MAX_THREADS=5", "5"),
        ("JAVA_OPTS=--credentials bob 4829 -Xmx1g", "--credentials *** *** -Xmx1g"),
        ("JAVA_OPTS=-Xmx1g -----BEGIN KEY 4829", "-Xmx1g *** *** ***"),
    ],
)  # fmt: skip
def test_listed_variables(entry: str, expected: str) -> None:
    """What bears on memory is shown, token by token, by the arguments' own rules."""
    assert SAFE.environ([entry.encode()]) == {entry.partition("=")[0]: expected}


@pytest.mark.parametrize(
    "entry",
    ["PATH=/bin", "DB_PASSWORD=1", "GOGCX=1", "MY_MALLOC_X=1", "JVMFLAGS_X=1", "A1b2_JVMFLAGS=1", "GOGC", "=1", ""],
)
def test_unlisted_variables_stay(entry: str) -> None:
    """What is on no list, or is no variable at all, does not appear, not even by its name."""
    assert SAFE.environ([entry.encode()]) == {}


def test_a_list_of_ones_own() -> None:
    """Names are exact or beginnings, values still go by shape, and a secret's name still masks."""
    policy = Redaction(environment_names=frozenset({"APP_*", "LEVEL", "PIN2"}))
    entries = [
        b"APP_SIZE=5m",
        b"APP_NAME=hunter2",
        b"APP_TOKEN=1234",
        b"LEVEL=3",
        b"LEVELS=3",
        b"PIN2=1",
        b"GOGC=1",
    ]
    assert policy.environ(entries) == {
        "APP_SIZE": "5m",
        "APP_NAME": MASK,
        "APP_TOKEN": MASK,
        "LEVEL": "3",
        "PIN2": MASK,
    }


def test_first_of_two_variables_counts() -> None:
    """getenv() finds the first, so that is what the victim had."""
    assert SAFE.environ([b"GOGC=1", b"GOGC=2"]) == {"GOGC": "1"}


def test_none_and_all() -> None:
    """`none` gives nothing; `all` gives everything, in printable text."""
    argv, entries = [b"hog", b"--pw=x\n"], [b"PW=x\x1b", b"GOGC=1"]
    nothing = Redaction(arguments="none", environment="none")
    everything = Redaction(arguments="all", environment="all")
    assert (nothing.command(argv, b"hog"), nothing.environ(entries)) == ((), {})
    assert everything.command(argv, b"hog") == ("hog", r"--pw=x\n")
    assert everything.environ(entries) == {"PW": r"x\x1b", "GOGC": "1"}
    assert SAFE.command([], b"hog") == ()


@pytest.mark.parametrize("field", ["arguments", "environment"])
def test_a_misspelt_policy_is_refused(field: str) -> None:
    """A policy that does not exist must not pass for another one."""
    with pytest.raises(ValueError, match=field):
        Redaction(**{field: "nine"})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", []),
        (b"\0", []),
        (b"hog\0", [b"hog"]),
        (b"hog", [b"hog"]),
        (b"hog\x001\x00\x002\0", [b"hog", b"1", b"", b"2"]),
        (b"hog\0\0", [b"hog", b""]),
        (b"nginx: worker process\0\0\0\0\0", [b"nginx: worker process"]),
    ],
)
def test_parse_arguments(raw: bytes, expected: list[bytes]) -> None:
    """NULs part the arguments, and a field of them at the end is none."""
    assert parse_arguments(raw) == expected


@given(st.lists(st.binary(min_size=1).filter(lambda argument: b"\0" not in argument)))
def test_parse_arguments_reads_what_the_kernel_writes(argv: list[bytes]) -> None:
    """Any arguments but empty ones come back."""
    assert parse_arguments(b"".join(argument + b"\0" for argument in argv)) == argv


def test_parse_environment() -> None:
    """Entries are parted by NULs, with or without one at the end, and empty ones go."""
    assert parse_environment(b"A=1\0\0B=2\nC=3\0") == [b"A=1", b"B=2\nC=3"]
    assert parse_environment(b"A=1\0B=") == [b"A=1", b"B="]
    assert parse_environment(b"") == []


@given(st.lists(st.text(string.printable)))
def test_quote_is_what_a_shell_splits(argv: list[str]) -> None:
    """A shell reads the line back as the same arguments."""
    assert shlex.split(quote(argv)) == argv


@given(tokens)
def test_the_probe_probes(token: str) -> None:
    """The property above can fail: unredacted, the token is found."""
    assume(is_token(token))
    with pytest.raises(AssertionError):
        assert_no_trace(token, quote(Redaction(arguments="all").command([token.encode()], b"hog")))
