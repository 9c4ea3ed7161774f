"""What must not be in a log, taken out of a line: passwords, tokens, keys, e-mail addresses, card numbers.

Logs end up in one place that many people can search, so a secret in one line is a secret no more. The three IDs of a
line are left as they are: without them it cannot be found, and a client is told not to put secrets there.
"""

from __future__ import annotations

import functools
import re
from typing import Any

REDACTED = "[redacted]"
SHORT = 100  # characters
_WORDS = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|authorization|cookie|session"
)
# A field, an option or a variable whose value is a secret: the word is a whole part of its name.
SECRET_NAME = re.compile(rf"(?i)(?:.*[_-])?(?:{_WORDS})(?:[_-].*)?")
# Every repetition has a limit: a text from outside must not cost more than its length.
_NAMED = re.compile(
    rf"""(?ix)
    ( (?<![a-z]) (?:{_WORDS}) (?:[_-][a-z0-9]{{1,20}}){{0,3}} ["']? \s{{0,3}} (?: => | = | : ) \s{{0,3}} )
    (?: (?:bearer|basic|token) \s{{1,3}} )?
    ( "(?:[^"\\]|\\.){{0,2000}}" | '(?:[^'\\]|\\.){{0,2000}}' | ["']?[^\s,;&"'()\[\]{{}}]+ )"""
)
_SCHEME = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")
_IN_ADDRESS = re.compile(r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{0,256}(?=@)")
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
_KEY = re.compile(
    r"\b(?:AKIA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{20,}|sk_(?:live|test)_[A-Za-z0-9]{8,}|xox[abprs]-[A-Za-z0-9-]{8,})"
)
_PEM = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_CARD = re.compile(
    r"(?<![\w.-])(?:[3-6]\d{12,18}|[3-6]\d{3}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|3\d{3}([ -])\d{6}\2\d{5})"
    r"(?![\w-]|\.\d)"
)
# Without one of these nothing above can match; most lines end here.
_HINTS = ("@", "pass", "pwd", "secret", "token", "key", "authoriz", "cookie", "session", "bearer", "basic", "eyj",
          "akia", "gh", "sk_", "xox")  # fmt: skip
_DIGITS = re.compile(r"\d{4}[ -]?\d{4}")


def redacted(text: str) -> str:
    """Return a text without secrets: what stood for one is REDACTED, its name stays."""
    lower = text.lower()
    if not any(hint in lower for hint in _HINTS) and not _DIGITS.search(text):
        return text
    text = _PEM.sub(REDACTED, text)
    text = _IN_ADDRESS.sub(REDACTED, text)
    text = _NAMED.sub(rf"\g<1>{REDACTED}", text)
    text = _SCHEME.sub(rf"\g<1> {REDACTED}", text)
    for pattern in (_JWT, _KEY, _EMAIL):
        text = pattern.sub(REDACTED, text)
    return _CARD.sub(lambda found: REDACTED if is_card_number(found[0]) else found[0], text)


_seen_before = functools.lru_cache(maxsize=512)(redacted)  # most lines have one of a few texts


def is_card_number(text: str) -> bool:
    """Tell whether digits, maybe with spaces or dashes between them, have a card number's check digit."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) if n % 2 else digit for n, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(doubled) % 10 == 0


@functools.lru_cache(maxsize=256)
def is_secret_name(name: str) -> bool:
    """Tell whether a field of this name has a secret as its value."""
    return SECRET_NAME.fullmatch(name) is not None


def redacted_field(name: str, value: Any) -> Any:
    """Return the value of a line's field without secrets: a field with a secret's name has none at all."""
    if is_secret_name(name):
        return REDACTED
    if isinstance(value, str):
        return _seen_before(value) if len(value) < SHORT else redacted(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return redacted(str(value))
