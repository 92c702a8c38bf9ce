"""Findings about a certificate or trusted CA wherever one is shown, and about what an upload did not take. Pure."""

import msgspec

from common.api.errors import FailureFinding


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One of the specification's statuses: `code` for machines, `text` for people."""

    code: str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something worth knowing about a certificate. `severity` is error (clients refuse it), warning (some do) or note."""

    code: str
    message: str
    severity: str


class Headline(msgspec.Struct, frozen=True, kw_only=True):
    """What to say first of a certificate: the worst of its statuses, its chain's state and its findings."""

    code: str
    text: str
    severity: str


class LeftOut(FailureFinding, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was not taken, where it stands, and why."""
