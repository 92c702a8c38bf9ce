"""`certcast trust`: trust in a manager whose certificate this machine's CAs did not issue, after a comparison.

Decides what to show and ask. Invariant: sends no credential, and trusts nothing that neither a person nor
--fingerprint has confirmed.
"""

import hashlib
import re
import shlex
import socket
import ssl
import sys
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from common.errors import InvalidInputError
from common.runtime.terminal import say, say_lines
from manager.cli.access import Options, check_url
from manager.cli.failures import ApiRefusedError
from manager.cli.files import DownloadedFile, check_output, save
from manager.cli.running import JsonOption, ReplaceOption, confirm, present
from manager.cli.unreachable import failed

CONNECT_S: Final = 10.0
HTTPS: Final = 443
FILE: Final = "manager.pem"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def trust(
    context: typer.Context,
    fingerprint: Annotated[
        str | None,
        typer.Option(
            "--fingerprint",
            metavar="SHA256",
            help="The output of 'certcast-manager fingerprint'; then nothing is asked.",
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", metavar="FILE", help="Where to save the manager's certificate.")
    ] = FILE,
    force: ReplaceOption = False,
    json: JsonOption = False,
) -> None:
    """Trust the manager's own certificate, after a comparison.

    Use it if the manager's certificate was not issued by a CA that this machine trusts, as on its first day.
    It prints the fingerprint of the manager's certificate; compare it with the output of 'certcast-manager
    fingerprint' on the manager.

    Example: certcast trust --output manager.pem
    """
    if not isinstance(context.obj, Options):
        raise TypeError("the global options were not read")
    url = check_url(context.obj.url, insecure=False)
    expected = _expected(fingerprint)
    check_output(output, force=force)
    host, port = _endpoint(url)
    if (trouble := _verify(url, host, port, None)) == "":
        _conclude(url, None, "", json=json)
        return
    pem = _shown(url, host, port)
    found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    if expected is not None and found != expected:
        raise ApiRefusedError(
            f"{url} shows another certificate, whose fingerprint is {found}; it is not trusted", status=0
        )
    # before asking: the certificate must work once it is trusted
    if (trouble := _verify(url, host, port, pem)) != "":
        raise ApiRefusedError(f"the certificate that {url} shows cannot be used: {trouble}", status=0)
    if expected is None:
        _ask(url, found)
    path = save(DownloadedFile(FILE, pem.encode()), output, force=force, secret=False)
    _conclude(url, path, found, json=json)


def _expected(fingerprint: str | None) -> str | None:
    if fingerprint is None:
        return None
    plain = fingerprint.replace(":", "").strip().lower()
    if not _FINGERPRINT.fullmatch(plain):
        raise InvalidInputError(
            "fingerprint",
            "--fingerprint is a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons",
        )
    return plain


def _endpoint(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    if parts.scheme != "https":
        raise InvalidInputError("url", "only https has a certificate to trust")
    return parts.hostname or "", parts.port or HTTPS


def _shown(url: str, host: str, port: int) -> str:
    try:
        return ssl.get_server_certificate((host, port), timeout=CONNECT_S)
    except OSError as error:
        raise failed(url, error) from error


def _verify(url: str, host: str, port: int, pem: str | None) -> str:
    """Return why verification by this certificate, or by this machine's CAs, fails; "" if it succeeds."""
    context = ssl.create_default_context(cadata=pem)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        with (
            socket.create_connection((host, port), timeout=CONNECT_S) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message.rstrip(".")
    except OSError as error:
        raise failed(url, error) from error


def _ask(url: str, found: str) -> None:
    say(f"{url} shows a certificate with the SHA-256 fingerprint")
    say_lines(f"\n  {found}\n\n")
    if not _at_terminal():
        raise InvalidInputError(
            "fingerprint",
            "there is no terminal to ask at; give the fingerprint that 'certcast-manager fingerprint' printed with "
            "--fingerprint",
        )
    if not confirm("Does 'certcast-manager fingerprint', on the manager, print the same?"):
        raise ApiRefusedError("nothing was trusted", status=0)


def _at_terminal() -> bool:
    return sys.stdin.isatty()


def _conclude(url: str, path: Path | None, found: str, *, json: bool) -> None:
    told = {"url": url, "file": str(path) if path else None, "fingerprint": found}
    present(told, lambda _: _say_trusted(url, path), json=json)


def _say_trusted(url: str, path: Path | None) -> None:
    if path is None:
        say(f"This machine trusts {url} already: its certificate was issued by a CA that this machine knows.")
    else:
        say(f"Wrote {path}. From now on:")
        say_lines(f"\n  export CERTCAST_CA={shlex.quote(str(path.absolute()))}")
