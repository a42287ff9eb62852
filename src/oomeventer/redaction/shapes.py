"""What is harmless by its shape: bounded numbers, sizes, durations, tunables, word-like names, plain paths, program
files, settings of figures.

In: text. Out: whether it may be shown. Rules: pure, and nothing raises. Letters and digits mixed are what tokens look
like, so a word of a name or path may mix them only in a few short, known ways (`amd64`, `python3`). A path may be
masked for that; the converse would be a leak.
"""

import re

#: Characters; nothing longer is harmless, so nothing longer need be looked at.
LONGEST = 256

# 100, -9, 0.75; 512m, 1.5Gi, 64MB; 80%; 30s, 250ms. Twelve digits hold a terabyte in bytes.
_AMOUNT = re.compile(r"[+-]?(?:[0-9]{1,12}|[0-9]{1,7}(?:\.[0-9]{1,3})?(?:%|B|[kKmMgGtT]i?[bB]?|ns|us|ms|s|m|h|d)?)")
_HOURS_MINUTES = re.compile(r"(?:[0-9]{1,4}h)?(?:[0-9]{1,4}m)?(?:[0-9]{1,4}s)?")
# .NET takes its limits in hexadecimal. Only round ones: a token that ends in so many zeros is rare.
_ROUND_HEX = re.compile(r"0x[0-9a-fA-F]{1,5}0{4,10}")
# Where a server listens. Other addresses say whom it talks to.
_OWN_ADDRESS = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|localhost)(?::[0-9]{1,5})?")
_SWITCH = re.compile(
    r"true|false|on|off|yes|no|auto|none|default|debug|summary|detail|(?:py)?malloc(?:_debug)?",
    re.IGNORECASE | re.ASCII,  # Unicode's rules would let a long s pass for an s
)

# MALLOC_CONF and GLIBC_TUNABLES. The keys are named, since "key:number" alone is also "user:1234".
_TUNABLE = (
    r"(?:(?:narenas|(?:lg_)?tcache(?:_max)?|thp|metadata_thp|percpu_arena|retain|oversize_threshold"
    r"|(?:dirty|muzzy)_decay_ms|(?:max_)?background_threads?|abort(?:_conf)?|confirm_conf|stats_print"
    r"|prof(?:_active)?|lg_prof_sample):|glibc\.[a-z_]{1,20}\.[a-z_]{1,40}=)"
    r"(?:-?[0-9]{1,12}|true|false|auto|always|never|default|disabled|percpu|phycpu)"
)
_TUNABLES = re.compile(rf"{_TUNABLE}(?:[,:]{_TUNABLE}){{0,20}}")

# One piece of a name, between dots, dashes and underscores: workers, wiredTigerCacheSizeGB, JMX. Eight letters a to f
# are rather hexadecimal.
_WORD = re.compile(
    r"(?![a-f]{8})(?:[a-z]{1,20}|[A-Z]{1,10}|[A-Z]?[a-z]{2,15}(?:[A-Z][a-z]{2,15}){1,3}(?:[KMGT]B)?|[A-Z][a-z]{1,15})"
)
_DIGITS = re.compile(r"[0-9]{1,4}")
_WORD_WITH_DIGITS = re.compile(
    r"[a-z]{1,3}[0-9]{1,2}"  # x86, amd64, lib64, jdk17, v2
    r"|(?:python|java|openjdk|node|tomcat|jetty|hadoop|spark|scala|postgresql|ruby|perl|php|lua|ubuntu|debian"
    r"|oauth|http|ipv)[0-9]{1,3}"
    r"|k[38]s|i18n|log4j|base64"
)
_SEPARATORS = re.compile(r"[._-]+")

# server.js, app.jar, train.py: what programs are kept in.
_PROGRAM_FILE = re.compile(
    r".{1,60}\.(?:[cm]?js|ts|jar|war|py|pyc|pyz|rb|pl|php|sh|bash|jl|lua|go|dll|exs?|kts?|scala|clj|groovy|R|r)"
)
_LETTERS = re.compile(r"[A-Za-z]{2}")
_DOTTED = re.compile(r"[A-Za-z_]{1,40}(?:\.[A-Za-z_]{1,60}){1,12}")

# A name that says what a bare number behind it is. Without one of these it could be anybody's: x=482913.
_MEASURE = re.compile(
    r"mem|heap|size|buffer|cache|limit|max|min|pool|worker|thread|process|count|num|percent|ratio|timeout|interval"
    r"|period|port|connection|core|cpu|instance|queue|batch|depth|rate|factor|bytes|mb|gb|seconds|retries|parallel"
    r"|concurren|replica|partition|shard|window|fraction|capacity|arena"
)


def is_value(text: str, named: bool) -> bool:
    """Whether `text` is harmless by its shape; words such as "true" only behind a name they belong to."""
    return len(text) <= LONGEST and bool(
        is_amount(text)
        or _ROUND_HEX.fullmatch(text)
        or _OWN_ADDRESS.fullmatch(text)
        or _TUNABLES.fullmatch(text)
        or (named and _SWITCH.fullmatch(text))
        or all(is_path(part) or is_program_file(part) for part in text.split(":"))
    )


def is_amount(text: str) -> bool:
    """Whether `text` is a number, a size, a percentage or a duration, or empty."""
    return len(text) <= LONGEST and bool(_AMOUNT.fullmatch(text) or _HOURS_MINUTES.fullmatch(text))


def is_setting(name: str, value: str) -> bool:
    """Whether NAME=VALUE without dashes is harmless: a figure that has a unit or whose name says what it measures."""
    if not is_name(name) or len(value) > LONGEST or not value:
        return False
    if _SWITCH.fullmatch(value):
        return True
    bare = value.lstrip("+-").isdigit()
    return is_amount(value) and (not bare or bool(_MEASURE.search(name.lower())))


def is_path(text: str) -> bool:
    """Whether `text` is an absolute or dotted path of word-like names. Base64 may begin with a slash, too."""
    first, slash, rest = text.partition("/")
    if not slash or first not in ("", ".", "..") or len(text) > LONGEST:
        return False
    return rest == "" or all(is_name(name) for name in rest.removesuffix("/").split("/"))


def is_program_file(text: str) -> bool:
    """Whether `text` is a file that programs are kept in, also in a directory: server.js, dist/main.mjs, app.jar."""
    if len(text) > LONGEST:
        return False
    *directories, name = text.split("/")
    return bool(
        _PROGRAM_FILE.fullmatch(name) and _LETTERS.match(name) and is_name(name) and all(map(is_name, directories))
    )


def is_dotted(text: str) -> bool:
    """Whether `text` is a dotted name of words, as modules and classes have: http.server, org.example.Main."""
    return len(text) <= LONGEST and _DOTTED.fullmatch(text) is not None and is_name(text)


def is_name(text: str) -> bool:
    """Whether `text` looks like words, as names of options and files do, with a version at most."""
    if not 0 < len(text) <= 64:
        return False
    mixed = digits = 0
    for piece in _SEPARATORS.split(text):
        if not piece or is_word(piece):
            continue
        if not _DIGITS.fullmatch(piece):
            if not is_known_mixture(piece):
                return False
            mixed += 1
        digits += sum(map(str.isdigit, piece))
    # More than this is rather a key in groups: ab12-cd34, 1234-5678.
    return mixed <= 1 and digits <= 6


def is_word(piece: str) -> bool:
    """Whether letters look like a word, or several by their capitals."""
    return _WORD.fullmatch(piece) is not None


def is_known_mixture(piece: str) -> bool:
    """Whether letters and digits are mixed in a way that names have: amd64, python3, base64."""
    return _WORD_WITH_DIGITS.fullmatch(piece) is not None
