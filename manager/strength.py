"""Strength of passwords and passphrases: the guesses needed by an attacker who knows people's habits.

Finds the cheapest way to compose a text from parts that attackers try first: well-known words, keyboard runs,
years, and repetitions; the rest counts by its characters. Errs on the low side. Invariant: costs at most some
milliseconds for any text; estimators that try every spelling take seconds for a hostile one. Pure.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

STRONG: Final = 10.0
"""The required power of ten: years of guessing at a file with 600,000 rounds of PBKDF2, forever at a sign-in.
"""

UNGUESSABLE: Final = 12.0
"""The power of ten that makes a secret unguessable online: a thousand guesses a second take 30 years. Every
run of letters counts as a word, since an overestimate here opens the door.
"""

ANY_WORD: Final = 4.0
"""The cost of a word from a list of ten thousand, whatever its length; the list below has a few of them only.
"""

WEAK: Final = "it is too easy to guess; use four words or more that do not belong together, or what a password manager makes"

READ_CHARS: Final = 40
"""The longest text examined: more adds nothing except repetitions."""

_WORDS: Final = frozenset(
    [
        "123456",
        "abc123",
        "access",
        "account",
        "admin",
        "administrator",
        "amazon",
        "america",
        "android",
        "angel",
        "apple",
        "april",
        "august",
        "autumn",
        "baby",
        "backup",
        "banana",
        "baseball",
        "batman",
        "birthday",
        "blink",
        "business",
        "butter",
        "cert",
        "certcast",
        "certificate",
        "change",
        "changeit",
        "changeme",
        "charlie",
        "cheese",
        "chelsea",
        "chicken",
        "chocolate",
        "cisco",
        "company",
        "computer",
        "conference",
        "cookie",
        "corona",
        "corporate",
        "correct horse battery",
        "correct horse battery staple",
        "correct-horse-battery-staple",
        "correcthorsebattery",
        "correcthorsebatterystaple",
        "daniel",
        "daddy",
        "december",
        "default",
        "demo",
        "diamond",
        "dolphin",
        "dragon",
        "exchange",
        "export",
        "facebook",
        "family",
        "february",
        "flower",
        "football",
        "forever",
        "freedom",
        "friday",
        "friend",
        "george",
        "ginger",
        "google",
        "guest",
        "hannah",
        "harley",
        "hello",
        "hockey",
        "home",
        "house",
        "hunter",
        "iloveyou",
        "instagram",
        "internet",
        "january",
        "jennifer",
        "jessica",
        "jordan",
        "joshua",
        "july",
        "june",
        "justin",
        "keystore",
        "killer",
        "letmein",
        "linkedin",
        "linux",
        "liverpool",
        "login",
        "london",
        "love",
        "lovely",
        "lucky",
        "manager",
        "march",
        "martin",
        "master",
        "matrix",
        "matthew",
        "maverick",
        "melissa",
        "meeting",
        "michael",
        "michelle",
        "microsoft",
        "monday",
        "monkey",
        "morgan",
        "mother",
        "mustang",
        "naruto",
        "network",
        "nicole",
        "ninja",
        "nothing",
        "november",
        "october",
        "office",
        "oracle",
        "orange",
        "password",
        "passwort",
        "passphrase",
        "patrick",
        "pepper",
        "phoenix",
        "pokemon",
        "princess",
        "private",
        "public",
        "purple",
        "purchase",
        "qazwsx",
        "rainbow",
        "root",
        "samsung",
        "samantha",
        "saturday",
        "secret",
        "secure",
        "security",
        "september",
        "server",
        "shadow",
        "silver",
        "soccer",
        "spring",
        "starwars",
        "summer",
        "sunday",
        "sunshine",
        "superman",
        "support",
        "sweet",
        "system",
        "temp",
        "temporary",
        "test",
        "tester",
        "thomas",
        "thursday",
        "tigger",
        "troubador",
        "troubadour",
        "trustno1",
        "tuesday",
        "ubuntu",
        "user",
        "vanilla",
        "video",
        "wednesday",
        "welcome",
        "whatever",
        "windows",
        "winter",
        "wizard",
        "yellow",
        "zxcvbn",
    ]
)
_WORD: Final = math.log10(2 * len(_WORDS))
_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "1234567890",
    "qwertyuiop[]",
    "qwertzuiopü+",
    "azertyuiop^$",
    "asdfghjkl;'",
    "asdfghjklöä#",
    "zxcvbnm,./",
    "yxcvbnm,.-",
    "!@#$%^&*()_+",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "zaq1xsw2cde3vfr4bgt5nhy6mju7",
    "zaq12wsxcde34rfvbgt56yhnmju7",
    "1q2w3e4r5t6y7u8i9o0p",
    "q1w2e3r4t5y6u7i8o9p0",
)
_RUN: Final = math.log10(2 * sum(map(len, _RUNS)))
_START_OF_RUN: Final = math.log10(len(_RUNS))
_AS_LETTERS: Final = str.maketrans("@4301!$57", "aaeoiisst")
_RUN_MIN, _COPY_MIN, _WORD_MIN = 3, 2, 4
_WORD_MAX: Final = max(map(len, _WORDS))
_LETTER, _OTHER, _YEAR, _DATE, _SPELLING = 0.7, 1.0, 2.0, 4.5, 0.5
_ADDRESS: Final = 9.6
"""There are 2**32 of them, and few are in use."""

_SEPARATORS: Final = re.compile(r"[\W_]+")
_REPEATED: Final = re.compile(r"(.)\1+")
_IPV4: Final = re.compile(r"\d{1,3}(\.\d{1,3}){3}", re.ASCII)
_LETTERS_MIN: Final = 4
"""This many letters in a row may be a word; one letter more narrows the rest down."""


def strength_of(text: str, known: tuple[str, ...] = ()) -> float:
    """Return the guesses a text needs, as a power of ten, by an attacker who knows the texts in `known`."""
    return _cheapest(text, known, with_any_word=False)


def is_unguessable(text: str, known: tuple[str, ...] = ()) -> bool:
    """Whether a text cannot be guessed online, whatever words it contains."""
    return _cheapest(text, known, with_any_word=True) >= UNGUESSABLE


def _cheapest(text: str, known: tuple[str, ...], *, with_any_word: bool) -> float:
    found = [
        cost + sum(_cost_of_all(part, known, with_any_word=with_any_word) for part in parts)
        for cost, parts in _ways_to_write(text)
    ]
    return min(found if _IPV4.fullmatch(text) is None else [*found, _ADDRESS])


def _ways_to_write(text: str) -> Iterator[tuple[float, tuple[str, ...]]]:
    """Return the readings of a text, with the cost of each kind of spelling."""
    yield 0.0, (text,)
    parts = _SEPARATORS.split(text)
    joined = "".join(parts)
    if sum(len(each) == 1 for each in parts) * 2 > len(parts):
        # p-a-s-s-w-o-r-d is that word
        yield _OTHER, (joined,)
    # 112233 is 123, with or without separators
    yield _OTHER, (_REPEATED.sub(r"\1", joined if joined.isdecimal() else text),)
    halves = text[::2], text[1::2]
    if any(each.isdecimal() for each in halves):
        # 1a2b3c is 123 and abc
        yield _OTHER, halves


def _cost_of_all(text: str, known: tuple[str, ...], *, with_any_word: bool) -> float:
    read = text[:READ_CHARS]
    # lower case may have more letters, and positions must agree
    small = "".join(low if len(low := each.lower()) == 1 else each for each in read)
    plain = small.translate(_AS_LETTERS)
    words = _WORDS | {each.lower() for each in known if len(each) >= _WORD_MIN}
    longest = max(_WORD_MAX, *(len(each) for each in words))
    best = [0.0]
    for end in range(1, len(read) + 1):
        is_gap = with_any_word and read[end - 1] == " "
        costs = [best[end - 1] + (0.0 if is_gap else _cost_of(read, end - 1))]
        for start in range(end - 1):
            cost = _cost_of_part(
                read[start:end], small, plain, start, words if end - start <= longest else ()
            )
            if cost is not None:
                costs.append(best[start] + cost)
            if with_any_word and _is_like_a_word(read[start:end]):
                costs.append(best[start] + min(ANY_WORD, _LETTER * (end - start)))
        best.append(min(costs))
    return best[-1]


def _cost_of_part(
    read: str, small: str, plain: str, start: int, words: frozenset[str] | tuple[str, ...]
) -> float | None:
    """Return the cost of a part as a unit, None if attackers do not try it."""
    end = start + len(read)
    part = small[start:end]
    spelt = _SPELLING if read != part else 0.0
    if part in words:
        return _WORD + spelt
    if plain[start:end] in words:
        return _WORD + spelt + _SPELLING
    if len(part) == 4 and part.isdecimal() and part[:2] in {"19", "20"}:
        return _YEAR
    if len(part) == 8 and part.isdecimal() and not {part[:2], part[4:6]}.isdisjoint({"19", "20"}):
        return _DATE
    if len(part) >= _COPY_MIN and (part in small[:start] or part[::-1] in small[:start]):
        return math.log10(2 * (start + len(part))) + spelt
    if len(part) >= _RUN_MIN and any(run.startswith(part) for run in _RUNS):
        return _START_OF_RUN + math.log10(len(part)) + spelt
    if len(part) >= _RUN_MIN and (
        len(set(part)) == 1 or any(part in run or part[::-1] in run for run in _RUNS)
    ):
        return _RUN + math.log10(len(part)) + spelt
    return None


def _is_like_a_word(part: str) -> bool:
    """Whether a part is all letters, of one case except the first."""
    return len(part) >= _RUN_MIN and part.isalpha() and (part[1:].islower() or part.isupper())


def _cost_of(read: str, at: int) -> float:
    """Return the cost of a character by itself."""
    first, after = at, at + 1
    while first and read[first - 1].islower() and read[at].islower():
        first -= 1
    while after < len(read) and read[after].islower() and read[at].islower():
        after += 1
    return _LETTER if after - first >= _LETTERS_MIN else _OTHER
