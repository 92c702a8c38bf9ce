"""Acts of the audit log as sentences, with links to their subjects.

Pure. Invariant: an act without words here is still shown, by its own name.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from manager.domain.annotations import ANNOTATIONS
from manager.domain.audit import AuditRecord

Detail = Mapping[str, Any]

NAMES_MAX: Final = 5
"""How many names a sentence lists; the details have all."""

_PAGES: Final = (
    ("account ", "/ca-accounts/"),
    ("certificate ", "/certificates/"),
    ("node ", "/nodes/"),
    ("request ", "/requests/"),
    ("renewal ", "/renewals/"),
    ("trusted CA ", "/trusted-cas/"),
    ("user ", "/users/named/"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One row: `before`, the subject with its page ("" for none), `after`, and the details as JSON.

    The details are "" for none.
    """

    record: AuditRecord
    before: str
    subject: str
    page: str
    after: str
    detail: str


def act_of(record: AuditRecord) -> Act:
    detail = _detail(record.detail)
    before, after = _WORDS.get(record.action, (record.action.replace(".", " ").replace("_", " "), _nothing))
    return Act(
        record=record,
        before=before,
        subject=record.subject.replace("request ", "CSR ", 1)
        if record.subject.startswith("request ")
        else record.subject,
        page=_page(record),
        after=after(detail),
        detail=json.dumps(detail, indent=1, ensure_ascii=False) if detail else "",
    )


def _detail(text: str) -> Detail:
    try:
        found = json.loads(text)
    except ValueError:
        return {"detail": text}
    if isinstance(found, dict):
        return found
    return {} if found is None else {"detail": found}


def _page(record: AuditRecord) -> str:
    if record.action.endswith((".deleted", ".removed", ".ended")):
        return ""
    for kind, path in _PAGES:
        name = record.subject.removeprefix(kind)
        if name != record.subject and name and " " not in name:
            return path + name
    return ""


def _nothing(_detail: Detail) -> str:
    return ""


def _names(found: object) -> str:
    names = [str(each) for each in found] if isinstance(found, list | tuple) else []
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return ", ".join(names[:NAMES_MAX]) + more


def _to_nodes(detail: Detail) -> str:
    names = _names(detail.get("nodes"))
    slot = f" as the {detail['slot']} certificate" if detail.get("slot") == "client" else ""
    return f"to {names}{slot}" if names else ""


def _for_nodes(detail: Detail) -> str:
    names = _names(detail.get("nodes"))
    return f"and assigned it to {names}" if names else ""


def _used_by(detail: Detail) -> str:
    names = _names(detail.get("nodes"))
    return f"(used by {names})" if names else ""


def _with_companions(words: Callable[[Detail], str]) -> Callable[[Detail], str]:
    """Add what happened to certificates uploaded with it."""

    def sentence(detail: Detail) -> str:
        companions = detail.get("not_served")
        companions = companions if isinstance(companions, list) else []
        return "; ".join(part for part in (words(detail), *map(str, companions)) if part)

    return sentence


def _republished(detail: Detail) -> str:
    if detail.get("generation") is None:
        return ""
    published = f", as generation {detail['as']}" if detail.get("as") is not None else ""
    return f"(generation {detail['generation']}{published})"


def _edited(detail: Detail) -> str:
    parts = [
        name
        for key, name in (
            ("certificate", "its text"),
            ("parameters", "its parameters"),
            ("private_key", "its key"),
        )
        if detail.get(key)
    ]
    parts += [f"its {name}" for name in ANNOTATIONS if name in detail]
    if detail.get("nodes") is not None:
        parts.append(f"its nodes ({_names(detail['nodes']) or 'none'})")
    return f"({', '.join(parts)})" if parts else ""


def _by(key: str, before: str = "", after: str = "") -> Callable[[Detail], str]:
    def words(detail: Detail) -> str:
        return f"{before}{detail[key]}{after}" if detail.get(key) not in {None, ""} else ""

    return words


_answered = _with_companions(_by("certificate", "which is certificate ", " now"))

_WORDS: Final[Mapping[str, tuple[str, Callable[[Detail], str]]]] = {
    "certificate.uploaded": ("added", _with_companions(_for_nodes)),
    "certificate.updated": (
        "updated",
        _with_companions(lambda detail: _edited(detail) if "certificate" in detail else _used_by(detail)),
    ),
    # the name of an edit before acts were listed in one place
    "certificate.edited": ("changed", _edited),
    "certificate.assigned": ("assigned", _to_nodes),
    "certificate.unassigned": ("emptied a slot of", _by("slot", "(", ")")),
    "certificate.deleted": (
        "deleted",
        lambda detail: f"which {_names(detail.get('nodes'))} had" if detail.get("nodes") else "",
    ),
    "key.exported": (
        "downloaded private keys in",
        lambda detail: f"(certificates {_names(detail.get('certificates'))})",
    ),
    "trusted_ca.uploaded": ("added", lambda detail: f"({_names(detail.get('subjects'))})"),
    "trusted_ca.edited": ("changed", _nothing),
    "trusted_ca.deleted": ("deleted", lambda detail: f"({_names(detail.get('ids'))})"),
    "csr.made": ("created", _nothing),
    "csr.answered": ("gave the CA's answer to", _answered),
    "csr.deleted": ("deleted", _nothing),
    # the former names of these three; "request" now means HTTP only
    "request.made": ("created", _nothing),
    "request.answered": ("gave the CA's answer to", _answered),
    "request.deleted": ("deleted", _nothing),
    "node.added": ("added", _nothing),
    "node.described": ("changed the names or addresses of", _nothing),
    "node.removed": ("removed", _nothing),
    "node.token_made": ("created a join token for", _nothing),
    "node.joined": ("joined as", _by("address", "from ")),
    "node.rejoined": ("joined again, with another key, as", _by("address", "from ")),
    "node.rotated": ("replaced the key of", _by("address", "from ")),
    "node.token_removed": ("revoked a join token of", _nothing),
    "session.ended": ("signed out", _nothing),
    "fleet.pushed": ("pushed to", lambda detail: "by force" if detail.get("forced") else ""),
    "generation.republished": ("republished an older generation on", _republished),
    "alarm.acknowledged": ("acknowledged", _nothing),
    "user.added": ("added", _by("role", "as ")),
    "user.removed": ("removed", _nothing),
    "user.role_changed": ("changed the role of", _by("role", "to ")),
    "user.password_changed": ("changed the password of", _nothing),
    "token.made": ("created an API token for", _by("label", "called ")),
    "token.removed": ("revoked an API token of", _by("label", "called ")),
    "sign_in.failed": ("could not sign in as", _by("attempts", "(", " attempts)")),
    "sign_in.delayed": (
        "was delayed after failed attempts to sign in as",
        _by("attempts", "(", " attempts)"),
    ),
    "sign_in.repeated": ("signed in repeatedly as", _by("attempts", "(", " times)")),
    "join.refused": ("was refused to join as", _by("attempts", "(", " attempts)")),
    "manager.token_made": ("made a token for", _nothing),
    "manager.joined": ("joined the managers of this store, and got its key, as", _by("address", "from ")),
    "manager_join.refused": ("was refused to join the", _by("attempts", "(", " attempts)")),
    "key_rotation.refused": ("was refused a new key for", _by("attempts", "(", " attempts)")),
    "audit.sealed": ("sealed, entry by entry, the", _by("count", "(", " entries)")),
    "session.started": ("signed in as", _by("address", "from ")),
    "oauth_client.added": ("added the program", _nothing),
    "oauth_client.changed": ("changed the program", _nothing),
    "oauth_client.removed": ("removed the program", _nothing),
    "role.removed": ("removed", _nothing),
    "document.changed": ("changed", _nothing),
    "audit.witnessed": ("began to keep the audit log's head in", _nothing),
    "account.added": ("added", _nothing),
    "account.registered": ("registered with its CA", _nothing),
    "account.changed": ("changed", _nothing),
    "account.key_change_begun": ("began to replace the key of", _nothing),
    "account.key_change_refused": ("failed to replace the key of", _nothing),
    "account.key_changed": ("replaced the key of", _nothing),
    "account.deactivation_begun": ("asked its CA to end", _nothing),
    "account.deactivated": ("deactivated", _nothing),
    "account.deleted": ("deleted", _nothing),
    "renewal.added": ("switched on", _nothing),
    "renewal.changed": ("changed", _nothing),
    "renewal.paused": ("paused", _nothing),
    "renewal.resumed": ("resumed", _nothing),
    "renewal.removed": ("switched off", _nothing),
    "renewal.tested": ("asked for a test order of", _nothing),
    "renewal.ordered": ("asked for an order of", _nothing),
    "renewal.taken_over": ("gave the nodes of its predecessor to", _nothing),
    "renewal.ended": ("ended", _nothing),
    "store.restored": ("marked the store as restored from a backup:", _nothing),
}
