"""`certcast certificate`: add certificates, assign them to nodes, delete them."""

import time
from typing import Annotated

import typer

from common.errors import InvalidInputError
from common.ids import node_name
from manager.operator.access import only_one_from_stdin, read_line, read_text
from manager.operator.failures import RefusedError
from manager.operator.running import ForceOption, JsonOption, ask, group, login, say, say_raw
from manager.operator.words import moment, until

app = group("Add certificates, assign them to nodes, delete them.")

IdArgument = Annotated[int, typer.Argument(metavar="ID", help="The number in 'certcast certificate list'.")]
NodesOption = Annotated[
    list[str] | None, typer.Option("--node", metavar="NAME", help="A node that gets it; may be repeated.")
]
SlotOption = Annotated[str, typer.Option("--slot", metavar="SLOT", help="The node's slot: server or client.")]


@app.command()
def add(
    context: typer.Context,
    certificate: Annotated[
        str,
        typer.Option(
            "--certificate", metavar="FILE", help="PEM: the certificate, and its chain; - is standard input."
        ),
    ],
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="PEM: the private key, if it is not in the certificate's file; - is standard input.",
        ),
    ] = None,
    passphrase_stdin: Annotated[
        bool,
        typer.Option("--passphrase-stdin", help="Read the key's passphrase from a line of standard input."),
    ] = False,
    parameters: Annotated[
        str | None, typer.Option("--parameters", metavar="FILE", help="PEM: DH or EC parameters.")
    ] = None,
    nodes: NodesOption = None,
    slot: SlotOption = "server",
    json: JsonOption = False,
) -> None:
    """Add a certificate, and assign it to nodes. A renewed one takes the place of the one that it renews.

    With several things from standard input, lines come first: the login's password, then the key's passphrase, then
    the file.

    Example: certcast certificate add --certificate conf.pem --key conf.key --node conf1 --node conf2
    """
    only_one_from_stdin(certificate, key, parameters)
    where = [node_name(name) for name in nodes or ()]
    login(context)
    body = {
        "private_key_passphrase": read_line("the passphrase (--passphrase-stdin)")
        if passphrase_stdin
        else None,
        "certificate": read_text(certificate),
        "private_key": read_text(key) if key else "",
        "parameters": read_text(parameters) if parameters else "",
        "nodes": where,
        "slot": slot,
    }
    try:
        answer = ask(context, lambda client: client.post("certificates", body=body))
    except RefusedError as error:
        # the manager names the fields of the request; people know their files
        named = {"certificate": certificate, "private key": key or "--key", "parameters": parameters or "-"}
        raise error.named(named) from error
    if json:
        say_raw(answer)
        return
    from manager.operator.shapes import Uploaded, read

    kept = read(answer, Uploaded)
    done = "Added" if kept.created else "Replaced the content of"
    to = f"; it goes to {', '.join(where)} now ('certcast status' shows how far)" if where else ""
    say(f"{done} certificate {kept.id} ({kept.fingerprint[:8]}){to}.")


@app.command("list")
def list_certificates(context: typer.Context, json: JsonOption = False) -> None:
    """List the certificates, where they are assigned, and how long they are valid.

    Example: certcast certificate list
    """
    answer = ask(context, lambda client: client.get("certificates"))
    if json:
        say_raw(answer)
        return
    from manager.operator.output import show_table
    from manager.operator.shapes import Certificates, read

    now_s = time.time()
    rows = [
        (
            str(each.id),
            each.subject_name + (" (temporary)" if each.temporary else ""),
            each.issuer_name,
            until(each.not_after_s, now_s) if each.not_after_s is not None else "-",
            each.fingerprint[:8],
            each.status,
            "\n".join(_place(place.node, place.slot) for place in each.nodes) or "-",
        )
        for each in read(answer, Certificates).certificates
    ]
    headings = ("id", "subject", "issuer", "expires", "leaf", "status", "nodes")
    show_table(headings, rows, nothing="No certificates yet: certcast certificate add --help")


@app.command()
def show(context: typer.Context, certificate_id: IdArgument, json: JsonOption = False) -> None:
    """Show one certificate, and its PEM text. Private keys never leave the manager this way.

    Example: certcast certificate show 3
    """
    answer = ask(context, lambda client: client.get("certificates", str(certificate_id)))
    if json:
        say_raw(answer)
        return
    from manager.operator.output import show_pairs
    from manager.operator.shapes import Certificate, read

    found = read(answer, Certificate)
    show_pairs(
        [
            ("id", str(found.id)),
            ("subject", found.subject_name),
            ("issuer", found.issuer_name),
            ("serial number", found.serial_no),
            ("names", ", ".join(found.subject_alt_names) or "-"),
            ("valid", f"{moment(found.not_before_s)} to {moment(found.not_after_s)}"),
            ("fingerprint", found.fingerprint),
            ("status", found.status),
            ("nodes", ", ".join(_place(place.node, place.slot) for place in found.nodes) or "-"),
        ]
    )
    say(f"\n{found.certificate.strip()}".replace("\r\n", "\n"))


@app.command()
def assign(
    context: typer.Context,
    certificate_id: IdArgument,
    nodes: NodesOption = None,
    everywhere: Annotated[bool, typer.Option("--all", help="All conferencing nodes.")] = False,
    slot: SlotOption = "server",
    json: JsonOption = False,
) -> None:
    """Put a certificate into a slot of nodes, in place of the one that is there.

    Example: certcast certificate assign 3 --node conf1 --node conf2
    """
    if bool(nodes) == everywhere:
        raise InvalidInputError("node", "say to which nodes: --node NAME (may be repeated), or --all")
    body = {"nodes": None if everywhere else [node_name(name) for name in nodes or ()], "slot": slot}
    answer = ask(
        context, lambda client: client.post("certificates", str(certificate_id), "assign", body=body)
    )
    if json:
        say_raw(answer)
        return
    to = "all nodes" if everywhere else ", ".join(nodes or ())
    say(f"Certificate {certificate_id} goes to {to} now; 'certcast status' shows how far.")


@app.command()
def delete(
    context: typer.Context, certificate_id: IdArgument, force: ForceOption = False, json: JsonOption = False
) -> None:
    """Delete a certificate and its private key from the manager.

    One that is assigned is deleted with --force only; its nodes go on serving it until they get another.

    Example: certcast certificate delete 3
    """
    answer = ask(context, lambda client: client.delete("certificates", str(certificate_id), force=force))
    if json:
        say_raw(answer)
        return
    from manager.operator.shapes import Places, read

    had = ", ".join(_place(place.node, place.slot) for place in read(answer or b"{}", Places).nodes)
    say(f"Deleted certificate {certificate_id}." + (f" It was assigned to {had}." if had else ""))


def _place(node: str, slot: str) -> str:
    return node if slot == "server" else f"{node} ({slot})"
