"""`certcast certificate`: commands that add, change, assign and delete certificates; the views are separate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from common.errors import InvalidInputError
from common.ids import node_name
from common.runtime.terminal import say
from manager.cli import certificate_views, diff
from manager.cli.access import passphrase
from manager.cli.certificate_options import (
    CertificateOption,
    EditCertificateOption,
    EditParametersOption,
    KeptNodesOption,
    KeyOption,
    NodesOption,
    NoNodesOption,
    NoParametersOption,
    NoteOption,
    ParametersOption,
    SlotOption,
)
from manager.cli.confirming import ReplaceKeyOption, YesOption, delete_confirmed, send_confirmed
from manager.cli.failures import ApiRefusedError
from manager.cli.files import only_one_from_stdin, read_text, shown_name
from manager.cli.importing import import_files
from manager.cli.naming import CertificateArgument, CertificatesArgument
from manager.cli.running import (
    AskPassphraseOption,
    JsonOption,
    PassphraseStdinOption,
    group,
    login,
    present,
)

if TYPE_CHECKING:
    from common.api.certificates import AssignedAnswer, CertificateAnswer
    from common.api.uploads import CertificateEdit

app = group("Manage certificates, and assign them to nodes.")


@app.command()
def add(
    context: typer.Context,
    certificate: CertificateOption,
    key: KeyOption = None,
    ask_passphrase: AskPassphraseOption = False,
    passphrase_stdin: PassphraseStdinOption = False,
    parameters: ParametersOption = None,
    nodes: NodesOption = None,
    slot: SlotOption = "server",
    note: NoteOption = None,
    replaces: ReplaceKeyOption = False,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Add a certificate, and assign it to nodes.

    A certificate with the issuer, serial number and private key of a stored one replaces it; any other
    becomes a new entry. If it lacks names of a node, has expired or is worse than the one that it replaces,
    this is shown and needs confirmation; in a script, use --force. If several inputs come from standard
    input, their order is: a line with the login's password, a line with the key's passphrase, then the file.

    Example: certcast certificate add --certificate conf.pem --key conf.key --node conf1 --node conf2
    """
    only_one_from_stdin(certificate, key, parameters)
    where: list[str] = [node_name(name) for name in nodes or ()]
    login(context)
    from common.api.uploads import NewCertificate

    body = NewCertificate(
        # before the files: its line of standard input is the first
        private_key_passphrase=passphrase(ask=ask_passphrase, from_stdin=passphrase_stdin),
        certificate=read_text(certificate),
        private_key=read_text(key) if key else "",
        parameters=read_text(parameters) if parameters else "",
        nodes=where,
        slot=slot,
        note=note,
        replace=replaces,
    )
    try:
        answer = send_confirmed(
            context,
            body,
            lambda client, confirmed: client.post("certificates", body=confirmed),
            force=force,
            replaces=replaces,
        )
    except ApiRefusedError as error:
        # the manager names the fields of the request; people know their files
        raise error.with_files(_files(certificate, key, parameters)) from error
    present(answer, lambda answer: _say_added(answer, where), json=json)


def _say_added(answer: bytes, where: Sequence[str]) -> None:
    kept = _read(answer)
    done = "Added" if kept.created else "Replaced the content of"
    say(f"{done} certificate {kept.id} ({kept.fingerprint[:8]}){going_to(where)}.")
    say_remarks(kept)


app.command("import")(import_files)
app.command("list")(certificate_views.list_certificates)
app.command("show")(certificate_views.show)
app.command("diff")(diff.diff)


@app.command()
def edit(
    context: typer.Context,
    certificate_id: CertificateArgument,
    certificate: EditCertificateOption = None,
    ask_passphrase: AskPassphraseOption = False,
    passphrase_stdin: PassphraseStdinOption = False,
    parameters: EditParametersOption = None,
    no_parameters: NoParametersOption = False,
    nodes: KeptNodesOption = None,
    no_nodes: NoNodesOption = False,
    slot: SlotOption = "server",
    note: NoteOption = None,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Change a certificate, its parameters, its nodes or its note.

    Options that are not given change nothing. The private key stays, so the new certificate must match it:
    for another key, add another certificate and assign it.

    Example: certcast certificate edit 3 --certificate renewed-with-new-chain.pem
    """
    if nodes and no_nodes:
        raise InvalidInputError("nodes", "--node and --no-nodes exclude each other")
    if certificate is None and (ask_passphrase or passphrase_stdin):
        raise InvalidInputError("passphrase", "a passphrase is for a file that --certificate names")
    only_one_from_stdin(certificate, parameters)
    if parameters is not None and no_parameters:
        raise InvalidInputError("parameters", "--parameters and --no-parameters exclude each other")
    where: list[str] = [node_name(name) for name in nodes or ()]
    moves = certificate is not None or parameters is not None or no_parameters or bool(nodes) or no_nodes
    if not moves and note is None:
        raise InvalidInputError(
            "edit",
            "say what to change: --certificate, --parameters, --no-parameters, --node, --no-nodes or --note",
        )
    login(context)
    from common.api.uploads import CertificateEdit

    body = CertificateEdit(
        # before the files: its line of standard input is the first
        passphrase=passphrase(ask=ask_passphrase, from_stdin=passphrase_stdin),
        certificate=None if certificate is None else read_text(certificate),
        parameters="" if no_parameters else None if parameters is None else read_text(parameters),
        nodes=where if nodes or no_nodes else None,
        slot=slot,
        note=note,
    )
    files = _files(certificate, None, parameters)
    answer = _send_edit(context, certificate_id, body, force=force, files=files)
    present(answer, lambda answer: _say_changed(answer, moves=moves), json=json)


def _send_edit(
    context: typer.Context,
    certificate_id: int,
    body: "CertificateEdit",
    *,
    force: bool,
    files: dict[str, str],
) -> bytes:
    """Send an edit, and confirm it if needed. Raises ApiRefusedError, which names the given files."""
    try:
        return send_confirmed(
            context,
            body,
            lambda client, confirmed: client.patch("certificates", str(certificate_id), body=confirmed),
            force=force,
        )
    except ApiRefusedError as error:
        raise error.with_files(files) from error


def _say_changed(answer: bytes, *, moves: bool) -> None:
    kept = _read(answer)
    concerned = [each.node for each in kept.nodes] if moves else []
    say(f"Changed certificate {kept.id} ({kept.fingerprint[:8]}){going_to(concerned)}.")
    say_remarks(kept)


@app.command()
def assign(
    context: typer.Context,
    certificate_id: CertificateArgument,
    nodes: NodesOption = None,
    everywhere: Annotated[bool, typer.Option("--all", help="All conferencing nodes.")] = False,
    slot: SlotOption = "server",
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Assign a certificate to nodes.

    It replaces the present one in their slot. If it is not valid for a node's names, has expired, or lacks
    something that the present one has, this is shown and needs confirmation; in a script, use --force.
    'certcast certificate list --fitting NODE' lists the certificates that are valid for a node first.

    Example: certcast certificate assign conf.example.com --node conf1 --node conf2
    """
    if bool(nodes) == everywhere:
        raise InvalidInputError("node", "say to which nodes: --node NAME (may be repeated), or --all")
    from common.api.uploads import Assign

    body = Assign(nodes=None if everywhere else [node_name(name) for name in nodes or ()], slot=slot)
    answer = send_confirmed(
        context,
        body,
        lambda client, confirmed: client.post("certificates", str(certificate_id), "assign", body=confirmed),
        force=force,
    )
    present(answer, lambda answer: _say_assigned(answer, certificate_id, nodes), json=json)


def _say_assigned(answer: bytes, certificate_id: int, nodes: Sequence[str] | None) -> None:
    from common.api.certificates import AssignedAnswer
    from manager.cli.decoding import read

    found = read(answer, AssignedAnswer)
    to = ", ".join(nodes) if nodes else "all nodes"
    say(f"Certificate {certificate_id} goes to {to} now; 'certcast status' shows the progress.")
    say_remarks(found)


app.command("download")(certificate_views.download)


@app.command()
def delete(
    context: typer.Context,
    certificate_ids: CertificatesArgument,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Delete certificates, and their private keys.

    Either all are deleted, or none. The private keys that would be lost and the nodes that would lose their
    certificate are shown, and need confirmation; in a script, use --force. These nodes keep serving their
    certificate until they get another.

    Example: certcast certificate delete 3 4
    """
    from common.api.uploads import CertificatesToDelete

    answer = delete_confirmed(context, "certificates", CertificatesToDelete(ids=certificate_ids, force=force))
    present(answer, lambda answer: _say_deleted(answer, certificate_ids), json=json)


def _say_deleted(answer: bytes, certificate_ids: Sequence[int]) -> None:
    from common.api.certificates import Places
    from manager.cli.certificate_tables import places
    from manager.cli.decoding import read

    had = places(read(answer, Places).nodes)
    numbers = ", ".join(str(number) for number in dict.fromkeys(certificate_ids))
    which = "certificate" if len(set(certificate_ids)) == 1 else "certificates"
    say(f"Deleted {which} {numbers}." + (f" No certificate is assigned to {had} now." if had else ""))


def going_to(nodes: Sequence[str]) -> str:
    """Say which nodes get a certificate now."""
    if not nodes:
        return ""
    return f"; it goes to {', '.join(nodes)} now ('certcast status' shows the progress)"


def say_remarks(kept: "CertificateAnswer | AssignedAnswer") -> None:
    """Print the consequences and findings of a certificate that was just added or assigned."""
    from manager.cli.certificate_tables import HINT, impact_lines, is_coded

    lines = impact_lines(kept.consequences or (), kept.findings or ())
    for line in [*lines, *([HINT] if is_coded(lines) else [])]:
        say(f"  {line}")


def _read(answer: bytes) -> "CertificateAnswer":
    from common.api.certificates import CertificateAnswer
    from manager.cli.decoding import read

    return read(answer, CertificateAnswer)


def _files(certificate: str | None, key: str | None, parameters: str | None) -> dict[str, str]:
    return {
        "certificate": shown_name(certificate or "the certificate"),
        "private key": shown_name(key or "--key"),
        "parameters": shown_name(parameters or "the parameters"),
    }
