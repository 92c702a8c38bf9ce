"""Answers of a CA: JSON objects (RFC 8555 7.1, RFC 9773 4.2) and links (RFC 8288), decoded for renewal.

Decides what an answer must contain, and how much. Pure. Invariant: an answer is decoded, or CaError says what
is wrong with it. Every address in the result is https, every text printable and of bounded length.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeGuard, get_args

import msgspec

from manager.acme.refusals import ProblemDocument, read_problem, words
from manager.domain.renewal.moments import Window
from manager.domain.renewal.names import written
from manager.usecases.renewal.ports import CaError, CaStatus, Directory, Ordered, Suggested

NAMES_MAX: Final = 100
"""Names in an order at Let's Encrypt, which allows the most of the large CAs."""

CHALLENGES_MAX: Final = 20
PROFILES_MAX: Final = 50
LINKS_MAX: Final = 50
ORDERS_MAX: Final = 1000
ISSUERS_MAX: Final = 10
"""From draft-ietf-acme-dns-persist; the other limits are far above what any CA sends."""

URL_MAX_CHARS: Final = 2048
NAME_MAX_CHARS: Final = 255

_URL: Final = re.compile(r"https://[!-~]+")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22,256}")
"""RFC 8555 8.1: at least 128 bits in base64url. It becomes a file's name."""

_ISSUER: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_PARAMETER: Final = r"\s*;\s*[A-Za-z*]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+)"
_LINK: Final = re.compile(rf"<([^<>]*)>((?:{_PARAMETER})*)")
_NAMED: Final = re.compile(r";\s*([A-Za-z*]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Addresses of a CA's resources, "" for one that it lacks, and the features that it offers."""

    new_nonce: str
    new_account: str
    new_order: str
    key_change: str
    renewal_info: str
    offered: Directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way to prove a name.

    For a lasting proof (draft-ietf-acme-dns-persist) `token` is "" and `issuers` is not empty.
    """

    url: str
    status: str
    token: str = field(repr=False)
    issuers: Sequence[str]
    problem: ProblemDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationAnswer:
    """A CA's answer about an authorization: `name` without "*.", and the challenges by type."""

    name: str
    is_wildcard: bool
    status: CaStatus
    challenges: Mapping[str, Challenge]


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON object of the CA `ca`."""

    ca: str
    fields: Mapping[str, object]

    @classmethod
    def read(cls, ca: str, body: bytes) -> "Answer":
        """Decode a body. Raises CaError if it is not a JSON object."""
        try:
            fields = msgspec.json.decode(body)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            fields = None
        return cls(ca, _object(ca, fields, "answer"))

    def part(self, value: object, what: str) -> "Answer":
        """Return a nested object."""
        return Answer(self.ca, _object(self.ca, value, what))

    def url(self, name: str) -> str:
        """Return a required address."""
        return checked_url(self.ca, self.fields.get(name), name)

    def optional_url(self, name: str) -> str:
        """Return an optional address, "" if it is missing."""
        return self.url(name) if self.fields.get(name) else ""

    def list(self, name: str, *, at_most: int) -> Sequence[object]:
        """Return a required list of limited length."""
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise self.malformed(name)
        if len(value) > at_most:
            raise CaError(f"{self.ca} sent more than {at_most} {name}")
        return value

    def status(self) -> CaStatus:
        """Return the status, which must be one that RFC 8555 7.1.6 defines."""
        value = self.fields.get("status")
        if not _is_status(value):
            raise self.malformed("status")
        return value

    def malformed(self, name: str) -> CaError:
        """Return the error for a field that is missing or malformed."""
        return CaError(f"{self.ca} sent an answer without a proper '{name}'")


def _object(ca: str, value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise CaError(f"{ca} sent an {what} that is not a JSON object")
    return value


def _is_status(value: object) -> TypeGuard[CaStatus]:
    return value in get_args(CaStatus)


def checked_url(ca: str, value: object, what: str) -> str:
    """Return an address from a CA. Raises CaError if it is malformed, too long or not https."""
    if not isinstance(value, str) or len(value) > URL_MAX_CHARS or _URL.fullmatch(value) is None:
        raise CaError(
            f"{ca} names an address ('{what}') that is not of https: {words(value, at_most=200)}",
            is_final=True,
        )
    return value


def read_directory(answer: Answer) -> Endpoints:
    """Read a directory (RFC 8555 7.1.1, draft-ietf-acme-profiles 3)."""
    meta = answer.part(answer.fields.get("meta") or {}, "entry 'meta'")
    profiles = meta.fields.get("profiles")
    named = list(profiles.items())[:PROFILES_MAX] if isinstance(profiles, dict) else []
    renewal_info = answer.optional_url("renewalInfo")
    return Endpoints(
        new_nonce=answer.url("newNonce"),
        new_account=answer.url("newAccount"),
        new_order=answer.url("newOrder"),
        key_change=answer.optional_url("keyChange"),
        renewal_info=renewal_info.removesuffix("/"),
        offered=Directory(
            terms_url=words(meta.fields.get("termsOfService"), at_most=URL_MAX_CHARS),
            website=words(meta.fields.get("website"), at_most=URL_MAX_CHARS),
            profiles={words(name, at_most=NAME_MAX_CHARS): words(told) for name, told in named},
            needs_binding=meta.fields.get("externalAccountRequired") is True,
            has_renewal_info=bool(renewal_info),
        ),
    )


def read_order(answer: Answer, *, url: str, retry_after_s: float | None) -> Ordered:
    """Read an order (RFC 8555 7.1.3)."""
    problem = read_problem(answer.fields.get("error"))
    addresses = answer.list("authorizations", at_most=NAMES_MAX)
    return Ordered(
        url=url,
        status=answer.status(),
        finalize_url=answer.url("finalize"),
        authorization_urls=tuple(checked_url(answer.ca, each, "authorizations") for each in addresses),
        certificate_url=answer.optional_url("certificate"),
        type=problem.type,
        message=problem.detail,
        retry_after_s=retry_after_s,
    )


def read_names(answer: Answer) -> frozenset[str]:
    """Return an order's names."""
    parts = (answer.part(each, "identifier") for each in answer.list("identifiers", at_most=NAMES_MAX))
    return frozenset(_name(part) for part in parts)


def read_profile(answer: Answer) -> str:
    """Return an order's profile (draft-ietf-acme-profiles 4), "" if the CA does not say."""
    return words(answer.fields.get("profile"), at_most=NAME_MAX_CHARS)


def _name(identifier: Answer) -> str:
    name = words(identifier.fields.get("value"), at_most=NAME_MAX_CHARS)
    if not name:
        raise identifier.malformed("identifier")
    return written(name)


def read_authorization(answer: Answer) -> AuthorizationAnswer:
    """Read an authorization (RFC 8555 7.1.4), including challenges of unknown types."""
    parts = [answer.part(each, "challenge") for each in answer.list("challenges", at_most=CHALLENGES_MAX)]
    return AuthorizationAnswer(
        name=_name(answer.part(answer.fields.get("identifier"), "identifier")),
        is_wildcard=answer.fields.get("wildcard") is True,
        status=answer.status(),
        challenges={
            words(each.fields.get("type"), at_most=NAME_MAX_CHARS): _challenge(each) for each in parts
        },
    )


def _challenge(answer: Answer) -> Challenge:
    token = answer.fields.get("token")
    issuers = answer.fields.get("issuer-domain-names")
    named = issuers[:ISSUERS_MAX] if isinstance(issuers, list) else []
    return Challenge(
        url=answer.url("url"),
        status=words(answer.fields.get("status"), at_most=NAME_MAX_CHARS),
        token=token if isinstance(token, str) and _TOKEN.fullmatch(token) else "",
        issuers=tuple(each for each in named if _is_issuer(each)),
        problem=read_problem(answer.fields.get("error")),
    )


def _is_issuer(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= NAME_MAX_CHARS and _ISSUER.fullmatch(value) is not None


def read_suggested(answer: Answer, *, retry_after_s: float | None) -> Suggested:
    """Read renewal information. A window that ends before it starts counts as missing (RFC 9773 4.2)."""
    window = answer.part(answer.fields.get("suggestedWindow"), "entry 'suggestedWindow'")
    start_s, end_s = _moment(window, "start"), _moment(window, "end")
    if end_s <= start_s:
        raise CaError(f"{answer.ca} suggests to renew in a window that ends before it starts")
    why = answer.fields.get("explanationURL")
    return Suggested(
        window=Window(start_s=start_s, end_s=end_s),
        why=why if isinstance(why, str) and len(why) <= URL_MAX_CHARS and _URL.fullmatch(why) else "",
        retry_after_s=retry_after_s,
    )


def _moment(answer: Answer, name: str) -> float:
    """Return an RFC 3339 date in unix seconds."""
    value = answer.fields.get(name)
    try:
        at = datetime.fromisoformat(value if isinstance(value, str) else "")
        if at.tzinfo is None:
            raise answer.malformed(name)
        return at.timestamp()
    except (OverflowError, ValueError) as error:
        raise answer.malformed(name) from error


def links(ca: str, header: str | None, relation: str) -> Sequence[str]:
    """Return the addresses with this relation in a Link header, in order and without duplicates."""
    found: dict[str, None] = {}
    for number, link in enumerate(_LINK.finditer(header or "")):
        if number >= LINKS_MAX:
            break
        if relation in _relations(link[2]):
            found[checked_url(ca, link[1], relation)] = None
    return tuple(found)


def _relations(parameters: str) -> Sequence[str]:
    values = {each[1].lower(): each[2] or each[3] or "" for each in _NAMED.finditer(parameters)}
    return values.get("rel", "").lower().split()
