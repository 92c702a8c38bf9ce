"""Certificate signing requests for the management API's clients."""

import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import NameOID

from common.api.codes import KeyKind
from common.errors import InvalidInputError
from common.ids import CertificateId, CsrId
from manager.infinity_api.collection import Made, Rows
from manager.infinity_api.contract.description import Values
from manager.infinity_api.contract.errors import ValuesError
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.resources.certificates import CERTIFICATE_SIGNING_REQUEST
from manager.pki.write.csr import DEFAULT_TEMPLATE
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.usecases import UseCases

_HOST = re.compile(r"[A-Za-z0-9*_-]+(\.[A-Za-z0-9_-]+)+")


class SigningRequests:
    resource = CERTIFICATE_SIGNING_REQUEST

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases

    async def rows(self) -> Rows:
        return {
            record.id: {
                "id": record.id,
                "subject_name": record.subject_name,
                "tls_certificate": record.replaces_id,
                "csr": record.pem,
                "certificate": record.answer_text or "",
            }
            for record in await self._use_cases.csrs.list()
        }

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        """Create a key, or use the given one, and a request signed by it."""
        name = str(values["subject_name"]).strip()
        given, kind = str(values["private_key"] or ""), str(values["private_key_type"])
        self._check_key(kind, given)
        more = [text.strip() for text in str(values["additional_subject_alt_names"]).split(",")]
        made = await self._use_cases.csrs.create(
            replaces=CertificateId(values["tls_certificate"])
            if isinstance(values["tls_certificate"], int)
            else None,
            changes=CsrChanges(
                subject=_subject(name, str(values["dn"]).strip()),
                extra_alt_names=[text for text in (name if _HOST.fullmatch(name) else "", *more) if text],
                server_auth=bool(values["eku_server_auth"]),
                client_auth=bool(values["eku_client_auth"]),
                template=DEFAULT_TEMPLATE if values["ad_compatible"] else "",
            ),
            key=KeyChoice(
                kind=None if given else KeyKind(kind),
                private_key=given,
                passphrase=str(values["private_key_passphrase"]) or None,
            ),
            actor=actor,
        )
        return Made(object_id=made.id)

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Take the signed certificate. It takes over the nodes of the one that the request was made for.

        A request itself does not change: what says the same again, or is only taken on creation, changes
        nothing.
        """
        record = await self._use_cases.csrs.get(CsrId(object_id))
        if values.get("tls_certificate", record.replaces_id) != record.replaces_id:
            raise ValuesError(
                self.resource.name, {"tls_certificate": ["It cannot be changed; create another request."]}
            )
        if str(values.get("subject_name", record.subject_name)).strip() != record.subject_name:
            raise ValuesError(
                self.resource.name, {"subject_name": ["It cannot be changed; create another request."]}
            )
        certificate = str(values.get("certificate") or "")
        if not certificate or certificate == record.answer_text:
            return
        await self._use_cases.csrs.answer(
            CsrId(object_id),
            certificate=certificate,
            parameters="",
            take_over=record.replaces_id is not None,
            nodes=[],
            slot="server",
            actor=actor,
        )

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete, with their keys."""
        await self._use_cases.csrs.delete([*map(CsrId, object_ids)], actor=actor)

    def _check_key(self, kind: str, given: str) -> None:
        if kind == "UPLOAD" and not given:
            raise ValuesError(self.resource.name, {"private_key": ["With UPLOAD the private key is needed."]})
        if kind != "UPLOAD" and given:
            raise ValuesError(
                self.resource.name, {"private_key_type": ["A private key is only taken with UPLOAD."]}
            )


def _subject(name: str, dn: str) -> str:
    """Return the distinguished name to ask for: `dn`, with the Common Name that it lacks.

    Raises InvalidInputError.
    """
    common = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]).rfc4514_string()
    if not dn:
        return common
    try:
        parsed = x509.Name.from_rfc4514_string(dn)
    except ValueError as error:
        raise InvalidInputError(
            "dn", "This is not a distinguished name; write it like 'CN=conf.example.com,O=Example'."
        ) from error
    names = [str(each.value) for each in parsed.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if not names:
        return f"{common},{dn}"
    if names != [name]:
        raise InvalidInputError("dn", "Its Common Name is not the subject_name.")
    return dn
