"""Import of files, which the manager sorts into TLS certificates and trusted CAs; both groups have the command."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from common.errors import InvalidInputError
from common.runtime.terminal import say
from manager.cli.access import passphrase
from manager.cli.confirming import YesOption, say_consequences, send_confirmed
from manager.cli.failures import finding_line
from manager.cli.files import only_one_from_stdin, read_bytes, shown_name
from manager.cli.running import AskPassphraseOption, JsonOption, PassphraseStdinOption, login, present

if TYPE_CHECKING:
    from common.api.errors import FailureFinding
    from common.api.uploads import ImportedFile
    from manager.cli.certificate_tables import Stored

BATCH_MAX_BYTES: Final = 8 * 1024 * 1024
"""Largest size of one import that the manager accepts."""

_NAME_MAX: Final = 255

SkipUnusableOption = Annotated[
    bool,
    typer.Option(
        "--skip-unusable",
        help="Import everything usable, and list the rest; without this, one finding refuses everything.",
    ),
]


FilesArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE",
        help="PEM, DER, PKCS#12, PKCS#7 or ZIP: certificates, keys, parameters, CAs; - is standard input.",
    ),
]


def import_files(
    context: typer.Context,
    files: FilesArgument,
    ask_passphrase: AskPassphraseOption = False,
    passphrase_stdin: PassphraseStdinOption = False,
    skip_unusable: SkipUnusableOption = False,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Import files, sorted by their content.

    Give certificates with their keys, intermediates and parameters, in one file or in several; CAs become
    trusted. The passphrase is tried on everything encrypted. A finding in one file refuses all of them,
    unless --skip-unusable is given. A certificate without its key updates the stored entry with that key.

    Example: certcast certificate import conf1.pem conf1.key conf2.pfx root.crt
    """
    only_one_from_stdin(*files)
    login(context)
    secret = passphrase(ask=ask_passphrase, from_stdin=passphrase_stdin)
    from common.api.uploads import Import

    body = Import(files=_read(files), private_key_passphrase=secret, skip_unusable=skip_unusable)
    answer = send_confirmed(
        context, body, lambda client, confirmed: client.post("import", body=confirmed), force=force
    )
    present(answer, _say_imported, json=json)


def _say_imported(answer: bytes) -> None:
    from common.api.certificates import ImportAnswer
    from manager.cli.decoding import read

    found = read(answer, ImportAnswer)
    _show("TLS certificates", found.certificates)
    _show("trusted CAs", found.trusted_cas)
    say_left_out(found.left_out)
    say_consequences(found.consequences)
    for warning in found.warnings:
        say(f"Warning: {warning}")
    if loose := [each for each in found.certificates if not each.nodes]:
        say(f"Next, assign the new certificates: certcast certificate assign {loose[0].id} --node NAME")


def say_left_out(findings: Sequence["FailureFinding"]) -> None:
    """Print the skipped parts on standard error, because standard output may be a pipe."""
    if not findings:
        return
    say(f"Left out ({len(findings)}):", err=True)
    for each in findings:
        say(f"  {finding_line(each)}", err=True)


def _read(names: Sequence[str]) -> "list[ImportedFile]":
    from common.api.uploads import ImportedFile

    files, total = [], 0
    for name in names:
        # the manager reports an empty file along with its other findings
        content = read_bytes(name, may_be_empty=True)
        total += len(content)
        if total > BATCH_MAX_BYTES:
            raise InvalidInputError(
                "file",
                f"the files are larger than {BATCH_MAX_BYTES // 2**20} MiB together; import them in several steps",
            )
        shown = shown_name(name)[-_NAME_MAX:]
        files.append(ImportedFile(name=shown, content=content))
    return files


def _show(what: str, found: "Sequence[Stored]") -> None:
    if not found:
        return
    from common.api.certificates import CertificateAnswer
    from manager.cli.certificate_tables import (
        FOLDED,
        HINT,
        IMPORT_HEADINGS,
        impact_lines,
        import_row,
        is_coded,
    )
    from manager.cli.output import show_table

    now_s = time.time()
    say(f"{len(found)} {what if len(found) != 1 else what.removesuffix('s')}:")
    show_table(IMPORT_HEADINGS, [import_row(each, now_s) for each in found], nothing="", folded=FOLDED)
    leaves = [each for each in found if isinstance(each, CertificateAnswer)]
    lines = [f"{each.id}: {line}" for each in leaves for line in impact_lines((), each.findings or ())]
    for line in [*lines, *([HINT] if is_coded(lines) else [])]:
        say(f"  {line}")
    say("")
