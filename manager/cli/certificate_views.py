"""`certcast certificate list|show|download`: commands that show certificates or write them to files."""

import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from common import codes
from common.api.codes import CertificateOrder, StatusCode
from common.errors import InvalidInputError
from common.ids import node_name
from common.limits import PAGE_MAX
from common.runtime.terminal import say
from manager.cli.access import prompt, read_line
from manager.cli.files import check_output, save
from manager.cli.list_options import (
    ByNodeOption,
    EverythingOption,
    FittingOption,
    LimitOption,
    NodeOption,
    OrderOption,
    ReverseOption,
    SearchOption,
    StatusOption,
    UnassignedOption,
)
from manager.cli.naming import CertificateArgument, CertificatesArgument
from manager.cli.running import (
    JsonOption,
    OutputOption,
    PemOption,
    ReplaceOption,
    TextOption,
    ask,
    login,
    present,
)
from manager.cli.showing import Forms, show_one

if TYPE_CHECKING:
    from manager.cli.client import Client


class DownloadFormat(StrEnum):
    """How a download is written."""

    PEM = "pem"
    PFX = "pfx"
    PFX_LEGACY = "pfx-legacy"


def list_certificates(
    context: typer.Context,
    search: SearchOption = None,
    status: StatusOption = None,
    node: NodeOption = None,
    fitting: FittingOption = None,
    unassigned: UnassignedOption = False,
    order: OrderOption = CertificateOrder.ID,
    reverse: ReverseOption = False,
    limit: LimitOption = 100,
    everything: EverythingOption = False,
    by_node: ByNodeOption = False,
    json: JsonOption = False,
) -> None:
    """List the certificates, or the certificates of each node.

    Example: certcast certificate list --status expiring --order expiry
    """
    if by_node:
        if search or status or unassigned or fitting or order is not CertificateOrder.ID or reverse:
            raise InvalidInputError("by-node", "--by-node goes with --node only; it lists what nodes have")
        _list_by_node(context, node, json=json)
        return
    query = _query(search, status, node, unassigned=unassigned)
    filtered = bool(query)
    query["order"] = f"-{order}" if reverse else str(order)
    if fitting is not None:
        query["fitting"] = node_name(fitting)

    async def work(client: "Client") -> bytes:
        if not everything:
            return await client.get("certificates", query={**query, "limit": str(limit)})
        return await _all_pages(client, query)

    answer = ask(context, work)
    present(answer, lambda answer: _list(answer, filtered=filtered), json=json)


def _list(answer: bytes, *, filtered: bool) -> None:
    from common.api.certificates import CertificatesAnswer
    from manager.cli.certificate_tables import FOLDED, LIST_HEADINGS, list_row
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    found, now_s = read(answer, CertificatesAnswer), time.time()
    nothing = (
        "No certificate matches." if filtered else "No certificates yet: certcast certificate add --help"
    )
    rows = [list_row(each, now_s) for each in found.certificates]
    show_table(LIST_HEADINGS, rows, nothing=nothing, folded=FOLDED)
    if (more := found.total - len(found.certificates)) > 0:
        say(f"{more} more of {found.total}: --all lists them, --search finds some.", err=True)


def show(
    context: typer.Context,
    certificate_id: CertificateArgument,
    text: TextOption = False,
    pem: PemOption = False,
    json: JsonOption = False,
) -> None:
    """Show everything about one certificate.

    Shows its data, its chain of trust link by link, whether a strict client accepts it, and all findings.
    Private keys are never shown; 'certcast certificate download' writes them encrypted.

    Example: certcast certificate show conf.example.com
    """
    show_one(context, ("certificates", str(certificate_id)), _forms, text=text, pem=pem, json=json)


def _forms(answer: bytes) -> Forms:
    from common.api.certificates import CertificateAnswer
    from manager.cli.certificate_details import describe_certificate
    from manager.cli.decoding import read

    found = read(answer, CertificateAnswer)
    return Forms(
        text=found.text, pem=found.certificate, table=lambda: describe_certificate(found, time.time())
    )


def download(
    context: typer.Context,
    certificate_ids: CertificatesArgument,
    form: Annotated[
        DownloadFormat,
        typer.Option(
            "--format", help="pfx is PKCS#12; pfx-legacy is weak, for old devices only (3DES, SHA-1)."
        ),
    ] = DownloadFormat.PEM,
    no_leaf: Annotated[bool, typer.Option("--no-leaf", help="Leave out the certificate itself.")] = False,
    no_intermediates: Annotated[
        bool, typer.Option("--no-intermediates", help="Leave out the intermediates.")
    ] = False,
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="With the private key, encrypted. A passphrase for it is asked for."),
    ] = False,
    passphrase_stdin: Annotated[
        bool,
        typer.Option("--passphrase-stdin", help="Read that passphrase from a line of standard input."),
    ] = False,
    output: OutputOption = None,
    force: ReplaceOption = False,
    json: Annotated[
        bool, typer.Option("--json", help="Say what was written as JSON: name, bytes, with_key.")
    ] = False,
) -> None:
    """Download certificates as a file.

    With their intermediates, and with the private keys on request. The file is named after the subject:
    SUBJECT_certificate or SUBJECT_keycert, all_certificates or all_keycerts for several. Temporary
    (self-signed) certificates cannot be downloaded. Only administrators get private keys, with their password
    and not with a token, and each download is audited.

    Example: certcast certificate download 3 --format pfx --with-key
    """
    if passphrase_stdin and not with_key:
        raise InvalidInputError("passphrase", "--passphrase-stdin is the passphrase for --with-key")
    check_output(output, force=force)
    login(context, needs_password=with_key)
    passphrase = _new_passphrase(from_stdin=passphrase_stdin) if with_key else None
    from common.api.uploads import DownloadRequest

    body = DownloadRequest(
        ids=certificate_ids,
        format=codes.Format(form.replace("-", "_")),
        include_certificate=not no_leaf,
        include_intermediates=not no_intermediates,
        include_key=with_key,
        passphrase=passphrase,
    )
    made = ask(context, lambda client: client.post_file("certificates", "download", body=body))
    path = save(made, output, force=force, secret=with_key)
    if path is None:
        return
    kept = " Only you can read it; the private key in it is encrypted." if with_key else ""
    told = {"name": str(path), "bytes": len(made.content), "with_key": with_key}
    present(told, lambda _: say(f"Wrote {path}.{kept}"), json=json)


def _query(
    search: str | None, status: StatusCode | None, node: str | None, *, unassigned: bool
) -> dict[str, str]:
    """Return which certificates to ask for. Raises InvalidInputError."""
    if node is not None and unassigned:
        raise InvalidInputError("node", "--node and --unassigned exclude each other; leave one out")
    query = {}
    if search:
        query["search"] = search
    if status is not None:
        query["status"] = str(status)
    if node is not None or unassigned:
        query["node"] = node_name(node) if node is not None else ""
    return query


def _new_passphrase(*, from_stdin: bool) -> str:
    if from_stdin:
        return read_line("the passphrase (--passphrase-stdin)")
    return prompt("Passphrase for the private key in the file", instead="--passphrase-stdin", confirm=True)


def _list_by_node(context: typer.Context, node: str | None, *, json: bool) -> None:
    answer = ask(context, lambda client: client.get("certificates", "by-node"))
    present(answer, lambda answer: _list_slots(answer, node), json=json)


def _list_slots(answer: bytes, node: str | None) -> None:
    from common.api.certificates import SlotsAnswer
    from manager.cli.certificate_tables import FOLDED, NODE_HEADINGS, node_row
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    now_s = time.time()
    slots = [each for each in read(answer, SlotsAnswer).slots if node is None or each.node == node]
    nothing = "No nodes yet: certcast node add NAME" if node is None else f"There is no node {node}."
    show_table(NODE_HEADINGS, [node_row(each, now_s) for each in slots], nothing=nothing, folded=FOLDED)


async def _all_pages(client: "Client", query: dict[str, str]) -> bytes:
    """Return all pages as one answer."""
    import msgspec

    from manager.cli.decoding import RawPage, read

    listed: list[msgspec.Raw] = []
    while True:
        wanted = {**query, "limit": str(PAGE_MAX), "offset": str(len(listed))}
        page = read(await client.get("certificates", query=wanted), RawPage)
        listed += page["certificates"]
        if not page["certificates"] or len(listed) >= page["total"]:
            return msgspec.json.encode({"total": page["total"], "certificates": listed})
