"""Refusals of a CA: problem documents (RFC 7807, RFC 8555 6.7), and how long it asks us to wait.

Decides which of the CA's words are passed on, and whether trying again can help. Pure. Invariant: whatever a
CA sends becomes a refusal that is printable, of bounded length and free of key authorizations. Nothing is
assumed to be well formed.
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
"""Far above what any CA says; the rest is cut."""

SUBPROBLEMS_MAX: Final = 5
"""How many names' own problems are shown; an order may have a hundred."""

RETRY_AFTER_MAX_S: Final = 7 * 86_400.0
"""Let's Encrypt's longest rate limit covers a week; a CA that asks for a longer wait is asked again after a
week."""

TRANSIENT_STATUSES: Final = frozenset({408, 425, 429})
"""The 4xx statuses for too slow, too early and too often (RFC 9110 15.5.9, RFC 8470, RFC 6585 4)."""

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
"""Problems that pass, or whose remedy is not in the request (RFC 8555 6.7)."""

ACTION_REQUIRED: Final = "userActionRequired"
"""RFC 8555 7.3.3: terms that were not agreed to, or have changed."""

NEXT_STEPS: Final = {
    "externalAccountRequired": "give the account the identifier and the key of the binding that you have from the CA",
    "invalidProfile": "choose another profile, or none",
}
"""Remedies where a CA's own words say only what is wrong (RFC 8555 7.3.4, draft-ietf-acme-profiles)."""

GONE: Final = frozenset({404, 410})
"""Statuses that are final even without a problem code."""

HIDDEN: Final = "<secret>"

PROOF_MAX_CHARS: Final = 300
_PROOF: Final = re.compile(r"[A-Za-z0-9_-]{22,256}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])")
"""A key authorization (RFC 8555 8.1): a token, and 256 bits in base64url."""

_SECONDS: Final = re.compile(r"[0-9]{1,100}")
_NO_TYPE: Final = frozenset({"", "about:blank"})


class RefusedError(CaError):
    """A CA's refusal.

    The answer's `status`, its `link` header, and the problem's `instance` address, "" for none.
    """

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
    """Content of a problem document: its code, its words, and the address with more about it.

    "" for each that is missing.
    """

    type: str
    detail: str
    instance: str = ""


def words(value: object, *, at_most: int = WORDS_MAX_CHARS) -> str:
    """Return foreign text in printable form, "" if it is not text. Proofs that CAs quote are left out."""
    if not isinstance(value, str):
        return ""
    seen = printable(" ".join(value[: at_most + PROOF_MAX_CHARS].split()))
    shown = _PROOF.sub(HIDDEN, seen)
    return shown if len(shown) <= at_most else f"{shown[: at_most - 3]}..."


def read_problem(value: object) -> ProblemDocument:
    """Return a problem document's content, including problems of single names; empty if it is not one."""
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
    """Return why a CA refused, from an answer without success. `ca` is its host."""
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
            message = f"{ca} requires an action from you ({told.type}){why}; register the account, with your agreement to its terms of service{more}"
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
    """Return the refusal for a known account whose owner must act; any other refusal is returned unchanged.

    The terms have changed. Agreeing to them happens where the CA says, not by a request (RFC 8555 7.1.2,
    7.3.3). `terms_url` is "" if the CA does not name them.
    """
    if error.type != ACTION_REQUIRED:
        return error
    terms = f" ({terms_url})" if terms_url else ""
    where = f"at {error.instance}" if error.instance else "where the CA has its accounts"
    why = f": {error.detail}" if error.detail else ""
    message = f"the CA requires an action from you before it serves this account again ({error.type}){why}; agree to its terms of service{terms} {where}, then resume the renewal"
    return with_message(error, message)


def with_message(error: RefusedError, message: str) -> RefusedError:
    """Return the same refusal with another message; the CA's own words are kept."""
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
    # a proxy on the way may also say 403
    return bool(kind) or status in GONE


def retry_after_s(text: str | None, *, now_s: float) -> float | None:
    """Return how long a Retry-After asks to wait (RFC 9110 10.2.3), None if it cannot be read.

    It is a number of seconds, or a date.
    """
    if text is None:
        return None
    # only what may surround a field's value (RFC 9110 5.6.3), not everything that Python calls white space
    if _SECONDS.fullmatch(seconds := text.strip(" \t")):
        wait_s = float(seconds)
    else:
        try:
            at = parsedate_to_datetime(text)
            wait_s = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp() - now_s
        except (IndexError, OverflowError, TypeError, ValueError):
            return None
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)
