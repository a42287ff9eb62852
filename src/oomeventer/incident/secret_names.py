"""Names that tell of a secret: `--pin`, `AUTH`, `passwort`, `htpasswd`. In: a name. Out: whether a secret may follow.

Rules: the tables are looked for anywhere in a name, after look-alikes are undone (NFKC, `p4ssw0rd`); a name that is not
ASCII counts as telling, as no table here has all languages. A harmless name that seems to tell costs a reader a value;
one that is missing here costs a secret: so the harmless ones are the exception, and listed. Pure; the cost is linear.
"""

import re
import unicodedata

_SPLIT = re.compile(r"\s+")


def _table(text: str) -> frozenset[str]:
    return frozenset(_SPLIT.split(text.strip()))


#: Anywhere in a name. They are so plain that a program of such a name (htpasswd) hides all of its arguments.
PLAIN = _table("""
    pass pasw pssw psw pswd pwd passwd secret scrt cred otp mfa 2fa puk cvv cvc psk phrase mnemonic tkn
    kennwort passwort geheim schluessel schlussel losung
    contrasen clave senha chave segredo secreto segreto motdepasse mot-de-passe
    wachtwoord sleutel losenord lozenord adgangskode kodeord hemmelig salasana
    haslo heslo jelszo sifre parola parole parol parool lozinka geslo zaporka slaptazod klyuch kljuc
    anshou pasuwado bimil amho matkhau katasandi sandi nywila sisma
""")

#: Anywhere in a name, but also in names of services: such a program hides what follows until the next option.
PARTS = _table("""
    pw token key pin auth cookie session salt signature signing private bearer login hmac ssn jwt
    community verification confirm activation unlock crypt pepper licence license codigo jeton
    smscode accesscode securitycode usercode onetimecode backupcode recoverycode
    identified adduser add_user add-user useradd createuser create_user create-user
""")

#: Only as a whole word of a name, and not in a path: elsewhere (`standin`, `outside`, `/code`) they tell nothing.
WORDS = _table("code codes tan mima pat sid sas sso nip kod cle mdp sig pan iban iv dek kek wpa wep csrf xsrf saml pph")

#: Words in which a part only seems to stand.
HARMLESS_WORDS = _table("""
    pinned spin spinning spinlock pinot pingcap
    tokenizer tokenizers tokenize tokenization passive passthrough passthru bypass compass passenger
    keyspace keyspaces keyframe keyframes keyboard monkey keepalive author authors keydb hotkeys
    footprint footprints hotplug classname
""")

#: Whole names, their words joined by dashes: what they are set to is a number, and no secret.
HARMLESS_NAMES = _table("""
    max-tokens max-new-tokens max-input-tokens max-output-tokens max-total-tokens max-batch-tokens
    max-num-batched-tokens max-batched-tokens max-batch-prefill-tokens max-batch-total-tokens num-tokens
    exit-code status-code error-code country-code language-code lang-code code-cache
    key-buffer-size key-cache-size-in-mb max-sessions session-timeout pin-memory
""")

_PLAIN = re.compile("|".join(sorted(PLAIN)))
# "pin", but not "mapping".
_ANY = re.compile("|".join(sorted(PLAIN | PARTS - {"pin"})) + "|pin(?!gs?(?![a-z]))")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LOOK_ALIKES = str.maketrans("013457@$!", "oieastasi")


def tells(name: str) -> bool:
    """Whether a name tells that a secret stands behind it."""
    return _found(name, _ANY, WORDS)


def tells_plainly(name: str) -> bool:
    """Whether the name of a program tells that all its arguments may be secrets."""
    return _found(name, _PLAIN, frozenset())


def _found(name: str, parts: re.Pattern[str], whole: frozenset[str]) -> bool:
    text = unicodedata.normalize("NFKC", name)
    if not text.isascii() or "\\" in text:  # a backslash is what printable() leaves of what nobody sees
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    if "-".join(words) in HARMLESS_NAMES:
        return False
    if "/" not in text and not whole.isdisjoint(words):
        return True
    left = _WORD.sub(lambda word: " " if word[0].lower() in HARMLESS_WORDS else word[0], text).lower()
    return bool(parts.search(left) or parts.search(left.translate(_LOOK_ALIKES)))
