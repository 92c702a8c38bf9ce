"""`certcast csr`: certificate signing requests, and the certificates that CAs make from them."""

import time
from typing import TYPE_CHECKING

import typer

from common.errors import InvalidInputError
from common.ids import node_name
from common.runtime.terminal import say, say_document
from manager.cli.access import passphrase
from manager.cli.certificate_options import NodesOption, ParametersOption, SlotOption
from manager.cli.certificates import going_to, say_remarks
from manager.cli.confirming import ReplaceKeyOption, YesOption, ask_confirmed, send_confirmed
from manager.cli.csr_options import (
    AdCompatibleOption,
    ClientAuthOption,
    FilesArgument,
    KeyOption,
    KeyTypeOption,
    NamesOption,
    OnlyNamesOption,
    ServerAuthOption,
    SubjectOption,
    TakeOverOption,
)
from manager.cli.failures import ApiRefusedError
from manager.cli.files import JoinedFiles, only_one_from_stdin, read_joined, read_text
from manager.cli.naming import CertificateOption, CsrArgument
from manager.cli.running import (
    AskPassphraseOption,
    JsonOption,
    PassphraseStdinOption,
    ask,
    group,
    login,
    present,
)
from manager.cli.words import moment

if TYPE_CHECKING:
    from common.api.signing_requests import RequestAnswer

app = group("Create signing requests, and upload the answers.")


@app.command()
def create(
    context: typer.Context,
    certificate_id: CertificateOption = None,
    subject: SubjectOption = None,
    names: NamesOption = None,
    only_names: OnlyNamesOption = False,
    key_type: KeyTypeOption = None,
    key: KeyOption = None,
    ask_passphrase: AskPassphraseOption = False,
    passphrase_stdin: PassphraseStdinOption = False,
    ad_compatible: AdCompatibleOption = False,
    server_auth: ServerAuthOption = None,
    client_auth: ClientAuthOption = None,
    json: JsonOption = False,
) -> None:
    """Create a signing request, and its key.

    The request is for a new certificate or to replace one, and is printed in PEM. The private key stays in
    the manager. Send the request to your CA, then upload its answer: certcast csr answer.

    Example: certcast csr create --certificate 3 --name extra.example.com > conf.csr
    """
    if key is not None and key_type is not None:
        raise InvalidInputError("key", "--key and --key-type exclude each other; leave one out")
    if certificate_id is None and subject is None and not names:
        raise InvalidInputError(
            "subject", "say what it is for: --certificate ID, or --subject DN and --name NAME"
        )
    login(context)
    from common.api.signing_requests import NewRequest

    body = NewRequest(
        certificate=certificate_id,
        subject=subject,
        subject_alt_names=(names or []) if only_names else None,
        extra_subject_alt_names=[] if only_names else names or [],
        private_key_type="UPLOAD" if key is not None else key_type.value if key_type else None,
        # before the file: its line of standard input is the first
        private_key_passphrase=passphrase(ask=ask_passphrase, from_stdin=passphrase_stdin),
        private_key=read_text(key) if key is not None else "",
        ad_compatible=ad_compatible,
        eku_server_auth=server_auth,
        eku_client_auth=client_auth,
    )
    answer = ask(context, lambda client: client.post("requests", body=body))
    present(answer, _say_created, json=json)


def _say_created(answer: bytes) -> None:
    made = _read(answer)
    _say_beside(made, f"Created request {made.id}")
    say(f"Send it to your CA, then upload the answer: certcast csr answer {made.id} FILE", err=True)
    say_document(made.csr)


@app.command("list")
def list_requests(context: typer.Context, json: JsonOption = False) -> None:
    """List the requests.

    Each is shown with the certificate that it replaces, and the one that answered it.

    Example: certcast csr list
    """
    answer = ask(context, lambda client: client.get("requests"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.signing_requests import RequestsAnswer
    from manager.cli.certificate_tables import FOLDED, REQUEST_HEADINGS, request_row
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    now_s = time.time()
    rows = [request_row(each, now_s) for each in read(answer, RequestsAnswer).requests]
    nothing = "No requests yet: certcast csr create --help"
    show_table(REQUEST_HEADINGS, rows, nothing=nothing, folded=FOLDED)


@app.command()
def show(context: typer.Context, csr_id: CsrArgument, json: JsonOption = False) -> None:
    """Print a request in PEM.

    Its subject and names are printed on standard error.

    Example: certcast csr show 5 > conf.csr
    """
    answer = ask(context, lambda client: client.get("requests", str(csr_id)))
    present(answer, _describe, json=json)


def _describe(answer: bytes) -> None:
    found = _read(answer)
    _say_beside(found, f"Request {found.id} of {moment(found.created_at_s)}")
    if found.answered_by is not None:
        say(f"It was answered by certificate {found.answered_by}.", err=True)
    say_document(found.csr)


@app.command()
def answer(
    context: typer.Context,
    csr_id: CsrArgument,
    files: FilesArgument,
    take_over: TakeOverOption = False,
    nodes: NodesOption = None,
    slot: SlotOption = "server",
    parameters: ParametersOption = None,
    ask_passphrase: AskPassphraseOption = False,
    passphrase_stdin: PassphraseStdinOption = False,
    replaces: ReplaceKeyOption = False,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Upload the certificate that a CA issued for a request.

    The certificate gets the request's private key, and can go to nodes at once. If it lacks something that
    was requested or that the replaced certificate has, this is shown and needs confirmation; in a script, use
    --force.

    Example: certcast csr answer 5 signed.pem chain.pem --take-over
    """
    only_one_from_stdin(*files, parameters)
    where: list[str] = [node_name(name) for name in nodes or ()]
    login(context)
    secret = passphrase(ask=ask_passphrase, from_stdin=passphrase_stdin)
    sent = read_joined(files)
    from common.api.signing_requests import SignedCertificate

    body = SignedCertificate(
        certificate=sent.text,
        passphrase=secret,
        parameters=read_text(parameters) if parameters else "",
        take_over=take_over,
        nodes=where,
        slot=slot,
        replace=replaces,
    )
    try:
        taken = send_confirmed(
            context,
            body,
            lambda client, confirmed: client.post("requests", str(csr_id), "answer", body=confirmed),
            force=force,
            replaces=replaces,
        )
    except ApiRefusedError as error:
        raise _located(error, sent, parameters) from error
    present(taken, lambda taken: _say_answered(taken, csr_id), json=json)


def _say_answered(taken: bytes, csr_id: int) -> None:
    from common.api.certificates import CertificateAnswer
    from manager.cli.decoding import read

    kept = read(taken, CertificateAnswer)
    done = "is now" if kept.created else "updated"
    say(
        f"Request {csr_id} {done} certificate {kept.id} ({kept.fingerprint[:8]})"
        f"{going_to([each.node for each in kept.nodes])}."
    )
    say_remarks(kept)


@app.command()
def delete(
    context: typer.Context, csr_id: CsrArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """Delete a request, and its private key.

    A certificate that answered it stays; an answer can no longer be uploaded. Deleting an unanswered request
    needs confirmation; in a script, use --force.

    Example: certcast csr delete 5
    """
    gone = ask_confirmed(
        context,
        lambda client, confirm: client.delete("requests", str(csr_id), query=confirm),
        force=force,
    )
    present(gone, lambda _: say(f"Deleted request {csr_id}."), json=json)


def _located(error: ApiRefusedError, sent: JoinedFiles, parameters: str | None) -> ApiRefusedError:
    """Return the error with file names instead of the request's fields, which the manager names."""
    from msgspec import structs

    mine = sent.locate(each for each in error.findings if each.file != "parameters")
    beside = [structs.replace(each, file=parameters) for each in error.findings if each.file == "parameters"]
    return error.with_findings([*mine, *beside])


def _read(answer: bytes) -> "RequestAnswer":
    from common.api.signing_requests import RequestAnswer
    from manager.cli.decoding import read

    return read(answer, RequestAnswer)


def _say_beside(request: "RequestAnswer", what: str) -> None:
    """Print a request's subject and names on standard error, so that only its PEM goes into a file."""
    replaces = f", to replace certificate {request.replaces}" if request.replaces is not None else ""
    names = ", ".join(request.subject_alt_names) or "none"
    say(f"{what}: {request.raw_subject or 'no subject'} ({request.key_type}){replaces}.", err=True)
    say(f"Names: {names}.", err=True)
