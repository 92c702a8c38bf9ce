"""Subjects of conditions, and the words that several kinds share."""

from common.codes import State
from common.pki.expiry import LONG_LIFE_S, Nearness, nearness
from common.words import span_of
from manager.domain.alarms.kinds import AlarmKind, Condition, Subject
from manager.domain.inventory import Entry
from manager.domain.model import TrustedCaRecord
from manager.domain.renewal.records import RenewalRecord
from manager.domain.view import NodeView


def about_certificate(entry: Entry, kind: AlarmKind, details: str) -> Condition:
    """Return a condition of a certificate; its details also say where the certificate is assigned."""
    subject = Subject(kind, f"certificate:{entry.id}")
    return Condition(subject=subject, label=entry.label, details=details + _where(entry))


def about_renewal(renewal: RenewalRecord, entry: Entry | None, kind: AlarmKind, details: str) -> Condition:
    """Return a condition of a renewal. It is about the certificate, or about the renewal before the first one."""
    if entry is not None:
        return about_certificate(entry, kind, details)
    names = renewal.terms.names if renewal.terms is not None else ()
    label = f"{names[0] if names else 'a new certificate'} (renewal {renewal.id})"
    return Condition(subject=Subject(kind, f"renewal:{renewal.id}"), label=label, details=details)


def about_trusted_ca(record: TrustedCaRecord, kind: AlarmKind, details: str) -> Condition:
    """Return a condition of a trusted CA."""
    label = f"{record.display_name} (trusted CA {record.id})"
    return Condition(subject=Subject(kind, f"trusted_ca:{record.id}"), label=label, details=details)


def about_node(name: str, kind: AlarmKind, details: str, *, sustains: bool = False) -> Condition:
    """Return a condition of a node."""
    subject = Subject(kind, f"node:{name}")
    return Condition(subject=subject, label=name, node=name, details=details, sustains=sustains)


def alarming_state(view: NodeView) -> State:
    """Return the state that alarms use: a node that will retry counts as failed."""
    return "failed" if view.tries_again else view.state


def with_refusals(view: NodeView, text: str) -> str:
    """Add the node's other refusals to the text about the main one."""
    untold = [each for each in view.refused if each.reason not in text]
    return " ".join([text, *(f"It refuses {each.part} ({each.reason}): {each.message}." for each in untold)])


def say_expired(not_after_s: int | None, *, now_s: int) -> str | None:
    """Say how long ago something expired; None if it has not expired, or its end cannot be read."""
    if not_after_s is None or nearness(not_after_s, now_s=now_s) is not Nearness.OVER:
        return None
    return f"It expired {span_of(now_s - not_after_s)} ago."


def expiring(not_after_s: int | None, *, now_s: int, life_s: int | None = LONG_LIFE_S) -> str | None:
    """Say how soon something expires.

    None if its end is not near enough for an alarm, has passed, or cannot be read.
    """
    if not_after_s is None or nearness(not_after_s, now_s=now_s, life_s=life_s) is not Nearness.ALARM:
        return None
    return f"It expires in {span_of(not_after_s - now_s)}."


def _where(entry: Entry) -> str:
    names = list(dict.fromkeys(place.node for place in entry.places))
    if not names:
        return " It is not assigned to any node."
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return f" It is assigned to {shown}."
