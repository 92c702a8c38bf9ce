"""Command `certificates_import` of the management API."""

from manager.infinity_api.contract.description import Values
from manager.pki.read.batch import ImportFile
from manager.usecases.usecases import UseCases


class CertificatesImport:
    """The command that sorts a bundle into TLS certificates and trusted CAs."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use_cases = use_cases

    async def run(self, values: Values, *, actor: str) -> None:
        """Import all or nothing; the next request after it returns sees the result."""
        await self._use_cases.certificates.import_files(
            [ImportFile("bundle", str(values["bundle"]).encode())],
            passphrase=str(values["private_key_passphrase"] or "") or None,
            actor=actor,
        )
