"""Secrets in what is about to be recorded: found by name, by form, by value, and taken out.

A log is for ever, so this is too careful rather than too bold: a text may lose a word that was no secret, and each
place says that something was removed. What can't be recognised (a password that is an English word, under a name that
says nothing) is not found; docs/environment.md says so.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

REMOVED: Final = "[removed]"
"""What stands in place of a secret."""
KNOWN_CHARACTERS_MIN: Final = 8
"""A value of a variable with a secret name is looked for everywhere if it is at least this long."""
QUOTED_CHARACTERS_MIN: Final = 4
"""A shorter text in quotes is no secret worth the name."""
VALUE_CHARACTERS_MAX: Final = 4_000
"""Longest value that is looked at behind a name."""
DENSE_CHARACTERS_MIN: Final = 24
"""A word without spaces has to be this long to be taken for a key by its looks alone."""
DENSE_CHARACTERS_MAX: Final = 300
"""A longer word is encoded data, such as a picture in a notebook."""
DENSE_WORD_CHARACTERS: Final = 2.8
"""Mean length of what looks like words in a random key at most: 1.9 is expected, CamelCase with numbers has 3.5."""

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_NAMES = """
    secret secrets token password passwd passphrase pwd credential credentials creds apikey auth cookie bearer jwt pat
    sas signature sig authorization
"""
_SECRET_WORDS = frozenset(_NAMES.split())
_SECRET_PARTS = ("password", "passwd", "passphrase", "secret", "apikey", "credential", "privatekey", "accesskey")
_KEY = "api access private secret signing encryption account ssh shared master auth service license"
_KEYS = frozenset(_KEY.split())
_LANGUAGE = """
    eos bos pad unk sep cls mask stop start end special next new first last prev previous image num n per max min
    id ids count counts type types len length level embedding embeddings index loss limit budget dropout accuracy
    rate classification
"""
_NO_SECRET_TOKENS = frozenset(_LANGUAGE.split())
"""Words that make a token one of a language model."""

_FORMS = re.compile(
    r"""
    \b(?:AKIA|ASIA|AGPA|AROA|AIDA)[0-9A-Z]{16}\b            # AWS
  | \bgh[pousr]_[A-Za-z0-9]{16,} | \bgithub_pat_\w{20,}     # GitHub
  | \bgl(?:pat|dt|rt|ptt)-[\w-]{16,}                        # GitLab
  | \bsk-[A-Za-z0-9_-]{16,} | \b[rsp]k_(?:live|test)_\w{10,}
  | \bhf_[A-Za-z0-9]{16,} | \bnpm_[A-Za-z0-9]{20,} | \bpypi-[\w-]{20,}
  | \bxox[abeoprs]-[\w-]{10,} | \bAIza[\w-]{30,} | \bya29\.[\w-]{20,} | \bSG\.[\w-]{16,}\.[\w-]{16,}
  | \bdop_v1_[0-9a-f]{32,} | \bdckr_pat_[\w-]{16,} | \bglc_[\w=+/]{20,} | \br8_[A-Za-z0-9]{20,} | \bnvapi-[\w-]{20,}
  | \beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?                  # JSON web tokens
    """,
    re.VERBOSE,
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY[A-Z ]*-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL)
_ADDRESS = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]{1,20}://)([^\s/@'\"<>]{1,1000})@")
_SCHEME = re.compile(r"\b(bearer|basic)(\s+)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_LOGIN = re.compile(  # .netrc in one line; curl -u name:password
    r"(\blogin\s{1,4}\S{1,200}\s{1,4}password\s{1,4})(?!\[removed\])(\S{1,1000})"
    r"|((?<!\S)(?:-u|--user|--proxy-user)[ =]{0,2}[\"']?[^\s:\"']{1,200}:)(?![\[/\\]|\d+(?!\S))([^\s\"']{4,1000})"
)
_NEXT_LINE = re.compile(  # NAME = ( and a text in quotes in the next line, as formatters break long ones
    r"([A-Za-z_]\w{1,80})(\s{0,4}[:=]\s{0,4}[(\[]?[ \\]{0,2}\r?\n[+ -]?[ \t]{0,80})([\"'])([^\"'\n]{4,1000})\3"
)
_NAME = re.compile(
    r"""(?<![\w.-])(?P<dashes>-{0,2})(?P<name>[A-Za-z_][\w.-]{1,80})"""
    r"""(?P<sign>["']?\]?\s{0,4}(?::=|=>|==|[:=])\s{0,4}|["']\s{0,4},\s{0,4}(?=["'])|[ ]+(?=[^\s-]))"""
)
_VALUE = re.compile(
    rf"""[rbfu]?"(?P<double>[^"\n]*)"|[rbfu]?'(?P<single>[^'\n]*)'|[^\s"'`,;&<>]{{1,{VALUE_CHARACTERS_MAX}}}"""
)
_REFERENCE = re.compile(r"\$.*|<.*>?|\{\{?.*|None|null|none|true|false|True|False", re.DOTALL)
_CALL = re.compile(r"[A-Za-z_][\w.]*[\[(]")
_IDENTIFIER = re.compile(r"[A-Za-z_][\w.]*[)\]}:]*")
_NUMBER = re.compile(r"[-+]?[\d_]*\.?\d+(?:e[-+]?\d+)?[)\]}:]*", re.IGNORECASE)
_DENSE = re.compile(rf"[A-Za-z0-9+/_=-]{{{DENSE_CHARACTERS_MIN},}}")
_PIECES = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_UPPER, _LOWER, _DIGIT = re.compile("[A-Z]"), re.compile("[a-z]"), re.compile("[0-9]")
_HEX = re.compile(r"[0-9a-f]{32,}|[0-9A-F]{32,}")
_DIGEST_CHARACTERS: Final = (40, 64, 128)
"""Lengths of SHA-1, SHA-256 and SHA-512 in hexadecimal: what pins data and code, and is wanted."""


def is_secret_name(name: str) -> bool:
    """Whether a variable, option or key of this name is likely to hold a secret."""
    words = [word.lower() for word in _WORDS.findall(name)]
    if any(part in "".join(words) for part in _SECRET_PARTS):
        return True
    found = _SECRET_WORDS.intersection(words)
    if found == {"token"} and _NO_SECRET_TOKENS.intersection(words):
        return False
    pairs = itertools.pairwise(words)
    return bool(found) or any(second in {"key", "keys"} and first in _KEYS for first, second in pairs)


def known_secrets(environ: Mapping[str, str]) -> frozenset[str]:
    """Values of variables with secret names: to be looked for wherever they may have been copied to."""
    return frozenset(
        value
        for name, value in environ.items()
        if is_secret_name(name) and len(value) >= KNOWN_CHARACTERS_MIN and not value.startswith("/")
    )


class Redactor:
    """Takes secrets out of texts, and counts them."""

    def __init__(self, known: Collection[str] = ()) -> None:
        """``known`` are secrets that are at hand: they are found wherever they stand."""
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self.removed = 0
        """Values taken out so far."""

    def text(self, text: str, *, is_python: bool = False) -> str:
        """``text`` without secrets, line for line. In Python a name without quotes is a variable, not a value."""
        if self._known is not None:
            text = self._known.sub(self._whole, text)
        text = _PRIVATE_KEY.sub(self._lines, text)
        text = _ADDRESS.sub(lambda found: self._instead(f"{found[1]}{REMOVED}@"), text)
        text = _FORMS.sub(self._whole, text)
        text = _SCHEME.sub(lambda found: self._instead(f"{found[1]}{found[2]}{REMOVED}"), text)
        text = _LOGIN.sub(lambda found: self._instead(f"{found[1] or found[3]}{REMOVED}"), text)
        text = _NEXT_LINE.sub(self._next_line, text)
        text = self._named(text, is_python=is_python)
        return _DENSE.sub(self._dense, text)

    def finds(self, text: str) -> bool:
        """Whether ``text`` holds a secret that is known or has a form of one; its looks alone do not count."""
        patterns = (self._known, _PRIVATE_KEY, _ADDRESS, _FORMS, _SCHEME)
        return any(pattern is not None and pattern.search(text) for pattern in patterns)

    def value(self, name: str, value: str) -> str:
        """The value of a variable: removed whole if its name is that of a secret."""
        if value and is_secret_name(name):
            return self._instead(REMOVED)
        return self.text(value)

    def words(self, words: Sequence[str]) -> list[str]:
        """The words of a command line; the word after an option with a secret name is removed."""
        cleaned: list[str] = []
        is_secret_next = False
        for word in words:
            is_option = word.startswith("-")
            if is_secret_next and not is_option:
                cleaned.append(self._instead(REMOVED))
                is_secret_next = False
                continue
            name, sign, value = word.partition("=")
            is_secret = is_secret_name(name)
            is_secret_next = is_option and is_secret and not sign
            if is_secret and value:
                cleaned.append(self._instead(f"{name}={REMOVED}"))
            else:
                cleaned.append(self.text(word))
        return cleaned

    def _instead(self, text: str) -> str:
        self.removed += 1
        return text

    def _whole(self, found: re.Match[str]) -> str:
        _ = found
        return self._instead(REMOVED)

    def _next_line(self, found: re.Match[str]) -> str:
        name, between, quote, value = found.groups()
        if not is_secret_name(name) or _REFERENCE.fullmatch(value) or REMOVED in value:
            return found[0]
        return self._instead(f"{name}{between}{quote}{REMOVED}{quote}")

    def _lines(self, found: re.Match[str]) -> str:
        """As many lines as there were, each with its first character: in a patch that is its sign."""
        first, *rest = found[0].split("\n")
        _ = first
        return "\n".join([self._instead(REMOVED), *(f"{line[:1]}{REMOVED}" for line in rest)])

    def _named(self, text: str, *, is_python: bool) -> str:
        """Values that stand behind a name that says secret."""
        parts: list[str] = []
        done = 0
        for found in _NAME.finditer(text):
            if found.start() < done or not is_secret_name(found["name"]):
                continue
            if found["sign"].isspace() and not found["dashes"]:
                continue
            value = _VALUE.match(text, found.end())
            if value is None or REMOVED in value[0]:
                continue
            quoted = value["double"] if value["double"] is not None else value["single"]
            if quoted is not None:
                if len(quoted) >= QUOTED_CHARACTERS_MIN and not _REFERENCE.fullmatch(quoted):
                    quote = value[0][-1]
                    parts += [text[done : value.start()], self._instead(f"{quote}{REMOVED}{quote}")]
                    done = value.end()
            elif _is_bare_secret(found["name"], value[0], is_python=is_python):
                parts += [text[done : value.start()], self._instead(REMOVED)]
                done = value.end()
        return "".join([*parts, text[done:]])

    def _dense(self, found: re.Match[str]) -> str:
        run = found[0]
        if len(run) > DENSE_CHARACTERS_MAX:
            return run
        if _is_dense(run):
            return self._instead(REMOVED)
        return "/".join(self._instead(REMOVED) if _is_dense(part) else part for part in run.split("/"))


def _is_bare_secret(name: str, value: str, *, is_python: bool) -> bool:
    """Whether a value without quotes behind a secret name is one, and no piece of a program."""
    if len(value) < QUOTED_CHARACTERS_MIN or _REFERENCE.fullmatch(value) or _CALL.match(value):
        return False
    if _NUMBER.fullmatch(value):
        return not is_python
    if is_python:
        return not _IDENTIFIER.fullmatch(value)
    _ = name
    return True


def _is_dense(word: str) -> bool:
    """Whether a word looks like a random key: long, and its kinds of characters alternate as chance would have it."""
    core = word.strip("=-_/+")
    if len(core) < DENSE_CHARACTERS_MIN:
        return False
    if _HEX.fullmatch(core):
        return len(core) not in _DIGEST_CHARACTERS
    if not (_UPPER.search(core) and _LOWER.search(core) and _DIGIT.search(core)):
        return False
    return len(core) <= DENSE_WORD_CHARACTERS * len(_PIECES.findall(core))
