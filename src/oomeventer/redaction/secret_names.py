"""Names that tell of a secret: `--pin`, `AUTH`, `passwort`, `htpasswd`. In: a name. Out: whether a secret may follow.

Rules: the tables are looked for anywhere in a name, after look-alikes are undone (NFKC, `p4ssw0rd`); a name that is not
ASCII counts as telling, as no table here has all languages. A harmless name that seems to tell costs a reader a value;
one that is missing here costs a secret: so the harmless ones are the exception, and listed. Pure; the cost is linear.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterable

_SPLIT = re.compile(r"\s+")


def _table(text: str) -> frozenset[str]:
    return frozenset(_SPLIT.split(text.strip()))


#: Anywhere in a name. They are so plain that a program of such a name (htpasswd) hides all of its arguments.
PLAIN = _table("""
    pass pasw pssw psw pswd pwd passwd secret scrt cred otp mfa 2fa puk cvv cvc psk phrase mnemonic tkn sensitive
    kennwort geheim schluessel schlussel losung wachtwoord sleutel wagwoord
    contrasen contrasin clave llave senha chave segredo segreto parola chiave motdepasse mot-de-passe pasahitz
    losenord lozenord nyckel hemlig hemmelig adgangskode kodeord nokkel lykilord salasana salasona avain
    haslo klucz tajne heslo jelszo titok kulcs lozinka geslo zaporka kljuc slaptazod parole parool fjalekalim
    sifre gizli anahtar parol klyuch kodikos sisma nenosiri nywila
    anshou pasuwado himitsu koulin miyao bimil bibeon amho matkhau mat-khau katasandi sandi kunci katalaluan
    pasvort
""")

#: Anywhere in a name, but also in names of services: such a program hides what follows until the next option.
PARTS = _table("""
    pw token key pin auth cookie session salt signature signing private bearer login hmac ssn jwt
    community verification confirm activation unlock unseal crypt pepper licence license codigo codice jeton
    answer challenge combination ticket confidential
    identified adduser add_user add-user useradd createuser create_user create-user
""")

#: Only as a whole word of a name, and not in a path: elsewhere (`standin`, `outside`, `/pan`) they tell nothing.
WORDS = _table("""
    tan pat sid sas sso nip kod kode mima cle clef mdp sig nonce pan iban card iv dek kek wpa wep csrf xsrf saml pph
    using
""")

#: At the end of a word of a name, and not in a path: smscode, Zugangscode.
ENDINGS = ("code", "codes")

#: Words in which a part only seems to stand.
HARMLESS_WORDS = _table("""
    pinned spin spinning spinlock pinot pingcap
    tokenizer tokenizers tokenize tokenization passive passthrough passthru bypass compass passenger
    keyspace keyspaces keyframe keyframes keyboard monkey keepalive author authors keydb hotkeys
    footprint footprints hotplug classname
    encode decode unicode bytecode opcode geocode barcode qrcode transcode exitcode statuscode errorcode zipcode
    postcode xcode vscode
""")

#: Whole names, their words joined by dashes: what they are set to is a number, and no secret.
HARMLESS_NAMES = _table("""
    max-tokens max-new-tokens max-input-tokens max-output-tokens max-total-tokens max-batch-tokens
    max-num-batched-tokens max-batched-tokens max-batch-prefill-tokens max-batch-total-tokens num-tokens
    exit-code status-code error-code country-code language-code lang-code
    key-buffer-size key-cache-size-in-mb max-sessions session-timeout pin-memory
""")


def _any_of(parts: Iterable[str]) -> str:
    """A pattern of all parts, by their first letters: so it is tried on a letter only where a part begins with it."""
    firsts = itertools.groupby(sorted(parts), key=lambda part: part[0])
    return "|".join(f"{first}(?:{'|'.join(part[1:] for part in group)})" for first, group in firsts)


_PLAIN = re.compile(_any_of(PLAIN))
_ANY = re.compile(_any_of(PLAIN | PARTS - {"pin"}) + "|pin(?!gs?(?![a-z]))")  # not "mapping"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_LOOK_ALIKES = str.maketrans("013457@$!", "oieastasi")


def tells(name: str) -> bool:
    """Whether a name tells that a secret stands behind it."""
    text = _plain_text(name)
    if text is None:
        return True
    words = [word.lower() for word in _WORD.findall(text)]
    if "-".join(words) in HARMLESS_NAMES:
        return False
    if "/" not in text and any(map(_tells_as_a_word, words)):
        return True
    return any(map(_ANY.search, _forms(text, words)))


def tells_plainly(name: str) -> bool:
    """Whether the name of a program tells that all its arguments may be secrets."""
    text = _plain_text(name)
    return text is None or any(map(_PLAIN.search, _forms(text, map(str.lower, _WORD.findall(text)))))


def _plain_text(name: str) -> str | None:
    """The name in ASCII, None if it has none. A backslash is what printable() leaves of what nobody sees."""
    text = name if name.isascii() else unicodedata.normalize("NFKC", name)
    return text if text.isascii() and "\\" not in text else None


def _forms(text: str, words: Iterable[str]) -> set[str]:
    """The name without its harmless words, as it is and with its look-alikes undone; both in small letters."""
    if not HARMLESS_WORDS.isdisjoint(words):
        text = _WORD.sub(lambda word: " " if word[0].lower() in HARMLESS_WORDS else word[0], text)
    text = text.lower()
    return {text, text.translate(_LOOK_ALIKES)}


def _tells_as_a_word(word: str) -> bool:
    return word in WORDS or (word.endswith(ENDINGS) and word not in HARMLESS_WORDS)
