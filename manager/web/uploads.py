"""Texts that come pasted or as a file, and what of them may be shown again.

Invariant: a private key or a passphrase is never in a page, not even in the form that is refused.
"""

from collections.abc import Iterable
from typing import Final

from common.errors import PkiError
from manager.pki.read.findings import PkiFindingsError, locate
from manager.pki.read.reader import as_text
from manager.pki.read.redaction import without_private_keys
from manager.pki.read.upload import CERTIFICATE_FIELD, KEY_FIELD, PARAMETERS_FIELD
from manager.web.forms import Form
from manager.web.words import Placed

PASTED: Final = "what was pasted"
_FIELDS: Final = frozenset((CERTIFICATE_FIELD, KEY_FIELD, PARAMETERS_FIELD, PASTED))
"""What a finding names where there is no file; these are words of ours, and begin a sentence."""


def given_text(form: Form, name: str) -> str:
    """Return what was pasted into a field, or the chosen file in its place; what is not text is written as PEM. Raises PkiFindingsError."""
    file = form.file(f"{name}_file")
    if file is None:
        return form.text(name)
    return as_text(file.data, "a certificate or key", file=file.name)


def shown_text(text: str) -> str:
    """Return what of a text may stand in a page."""
    return without_private_keys(text)


def findings_of(error: Exception) -> list[str]:
    """Return every finding of a refusal as a sentence that says where."""
    match error:
        case PkiFindingsError():
            return sentences(error.findings)
        case PkiError():
            return sentences([error])
        case _:
            return [getattr(error, "message", "") or "that failed; the manager's log says why"]


def sentences(findings: Iterable[PkiError]) -> list[str]:
    """Return findings as sentences that say where; a file's name is written as it is."""
    return [
        Placed(locate(each)) if each.file and each.file not in _FIELDS else locate(each) for each in findings
    ]
