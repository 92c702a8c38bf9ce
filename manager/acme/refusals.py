"""Refusals of a CA: problem documents (RFC 7807, RFC 8555 6.7), and for how long it asks to be left alone.

Decides which of its words are passed on, and whether asking again can help. Pure. Invariant: whatever a CA sends becomes a refusal of bounded
length that is printable and carries no key authorization; nothing in it is believed to be of the form that it should have.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec

from common.text import printable
from manager.usecases.renewal.ports import CaError

ACME: Final = "urn:ietf:params:acme:error:"

TYPE_MAX_CHARS: Final = 100
WORDS_MAX_CHARS: Final = 1000
"""Far above what any CA says; what follows it is left out."""

SUBPROBLEMS_MAX: Final = 5
"""How many names' own problems are told; an order may have a hundred."""

RETRY_AFTER_MAX_S: Final = 7 * 86_400.0
"""The longest limit of Let's Encrypt counts a week; who asks for more is asked again after that."""

TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
"""Of 4xx: too slow, too early, too often (RFC 9110 15.5.9, RFC 8470, RFC 6585 4)."""

TRANSIENT: Final = frozenset(
    {
        "badNonce",
        "caa",
        "connection",
        "dns",
        "dnssec",
        "incorrectResponse",
        "orderNotReady",
        "rateLimited",
        "serverInternal",
        "tls",
        "unknownHost",
    }
)
"""What passes, or is mended elsewhere than in what was asked (RFC 8555 6.7)."""

ACTION_REQUIRED: Final = "userActionRequired"
"""RFC 8555 7.3.3: terms that nobody has agreed to, or that have changed."""

NEXT_STEPS: Final = {
    "externalAccountRequired": "give the account the identifier and the key of the binding that you have from the CA",
    "invalidProfile": "choose another profile, or none",
}
"""What helps where a CA's own words say only what is wrong (RFC 8555 7.3.4, draft-ietf-acme-profiles)."""

GONE: Final = frozenset({404, 410})
"""What is final though no CA says why."""

HIDDEN: Final = "<secret>"

PROOF_MAX_CHARS: Final = 300
_PROOF: Final = re.compile(r"[A-Za-z0-9_-]{22,256}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""A key authorization (RFC 8555 8.1): a token, and 256 bits in base64url."""

_SECONDS: Final = re.compile(r"[0-9]{1,100}")
_NO_TYPE: Final = frozenset({"", "about:blank"})


class RefusedError(CaError):
    """A CA answered, and refused. `status` is that of its answer, `link` its header of that name, `instance` where its problem document leads to, "" for nowhere."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str,  # noqa: A002 - the word of RFC 7807
        detail: str,
        retry_after_s: float | None,
        is_final: bool,
        instance: str = "",
        link: str | None = None,
    ) -> None:
        super().__init__(message, type=type, detail=detail, retry_after_s=retry_after_s, is_final=is_final)
        self.status = status
        self.instance = instance
        self.link = link


@dataclass(frozen=True, slots=True)
class ProblemDocument:
    """What a problem document says: a code ("" if none), words ("" if none), and where there is more about it ("" for nowhere)."""

    type: str
    detail: str
    instance: str = ""


def words(value: object, *, at_most: int = WORDS_MAX_CHARS) -> str:
    """Return foreign text as it may be shown, "" for what is no text. CAs quote what a node should have shown, which is left out."""
    if not isinstance(value, str):
        return ""
    seen = printable(" ".join(value[: at_most + PROOF_MAX_CHARS].split()))
    shown = _PROOF.sub(HIDDEN, seen)
    return shown if len(shown) <= at_most else f"{shown[: at_most - 3]}..."


def read_problem(value: object) -> ProblemDocument:
    """Return what a problem document says, with what it says of single names; nothing of what is none."""
    if not isinstance(value, Mapping):
        return ProblemDocument("", "")
    kind = words(value.get("type"), at_most=TYPE_MAX_CHARS)
    of_names = value.get("subproblems")
    several = (
        [] if not isinstance(of_names, list) else [_of_name(each) for each in of_names[:SUBPROBLEMS_MAX]]
    )
    said = words(value.get("detail")) or words(value.get("title"))
    detail = words("; ".join(part for part in (said, *several) if part))
    return ProblemDocument(
        "" if kind in _NO_TYPE else kind.removeprefix(ACME), detail, words(value.get("instance"))
    )


def _of_name(value: object) -> str:
    if not isinstance(value, Mapping):
        return ""
    identifier = value.get("identifier")
    name = words(identifier.get("value"), at_most=TYPE_MAX_CHARS) if isinstance(identifier, Mapping) else ""
    detail = words(value.get("detail"))
    return f"{name}: {detail}" if name and detail else detail


def refusal(
    ca: str, *, status: int, retry_after: str | None, body: bytes, now_s: float, link: str | None = None
) -> RefusedError:
    """Return why a CA refused, from an answer whose status is no success. `ca` is its host."""
    try:
        told = read_problem(msgspec.json.decode(body))
    except (msgspec.MsgspecError, RecursionError, ValueError):
        told = ProblemDocument("", "")
    why = f": {told.detail}" if told.detail else ""
    match told.type, status:
        case "", _:
            message = f"{ca} answered with status {status}{why}"
        case "rateLimited", _:
            message = f"{ca} limits how often it is asked{why}"
        case kind, _ if kind == ACTION_REQUIRED:
            more = f", or do what {told.instance} says" if told.instance else ""
            message = f"{ca} wants somebody to act ({told.type}){why}; register the account, with your agreement to its terms of service{more}"
        case kind, _:
            message = f"{ca} refused ({kind}){why}"
            if step := NEXT_STEPS.get(kind):
                message = f"{message.removesuffix('.')}; {step}"
    return RefusedError(
        message,
        status=status,
        type=told.type,
        detail=told.detail,
        retry_after_s=retry_after_s(retry_after, now_s=now_s),
        is_final=_is_final(told.type, status),
        instance=told.instance,
        link=link,
    )


def to_known_account(error: RefusedError, *, terms_url: str) -> RefusedError:
    """Return how a CA refuses an account that it knows until somebody acts, which is told as any other refusal where it is none of that.

    Its terms have changed: that is agreed to where the CA says, and by no request (RFC 8555 7.1.2, 7.3.3). `terms_url` is "" if it does not name them.
    """
    if error.type != ACTION_REQUIRED:
        return error
    terms = f" ({terms_url})" if terms_url else ""
    where = f"at {error.instance}" if error.instance else "where the CA has its accounts"
    why = f": {error.detail}" if error.detail else ""
    message = f"the CA wants somebody to act before it goes on with this account ({error.type}){why}; agree to its terms of service{terms} {where}, and resume the renewal then"
    return with_message(error, message)


def with_message(error: RefusedError, message: str) -> RefusedError:
    """Return the same refusal with another message; what the CA itself said is kept."""
    return RefusedError(
        message,
        status=error.status,
        type=error.type,
        detail=error.detail,
        retry_after_s=error.retry_after_s,
        is_final=error.is_final,
        instance=error.instance,
        link=error.link,
    )


def _is_final(kind: str, status: int) -> bool:
    if kind in TRANSIENT or status in TRANSIENT_STATUSES or not 400 <= status < 500:
        return False
    # a proxy on the way says 403 as well, and no CA
    return bool(kind) or status in GONE


def retry_after_s(text: str | None, *, now_s: float) -> float | None:
    """Return for how long a Retry-After asks to wait (RFC 9110 10.2.3: seconds, or a date), None for none that can be read."""
    if text is None:
        return None
    # what may stand around a field's value (RFC 9110 5.6.3), and nothing else that Python calls white space
    if _SECONDS.fullmatch(seconds := text.strip(" \t")):
        wait_s = float(seconds)
    else:
        try:
            at = parsedate_to_datetime(text)
            wait_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now_s
        except (IndexError, OverflowError, TypeError, ValueError):
            return None
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)
