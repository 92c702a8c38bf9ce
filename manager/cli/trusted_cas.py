"""`certcast ca`: the trusted CAs of all nodes."""

import time
from typing import Annotated

import typer

from common.errors import InvalidInputError
from common.runtime.terminal import say
from manager.cli.confirming import YesOption, delete_confirmed, say_consequences, send_confirmed
from manager.cli.failures import ApiRefusedError
from manager.cli.files import JoinedFiles, check_output, only_one_from_stdin, read_joined, save
from manager.cli.importing import SkipUnusableOption, import_files, say_left_out
from manager.cli.naming import CaArgument, CasArgument
from manager.cli.running import (
    JsonOption,
    OutputOption,
    PemOption,
    ReplaceOption,
    TextOption,
    ask,
    group,
    login,
    present,
)
from manager.cli.showing import Forms, show_one

app = group("Trust CAs, on all nodes.")

IMPORT_HELP = """Import files, sorted by their content.

CAs become trusted; TLS certificates with their keys go to the list of certificates. This is the same command as
'certcast certificate import'; 'certcast ca add' takes CAs only.

Example: certcast ca import root.crt issuing.der
"""


@app.command()
def add(
    context: typer.Context,
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="PEM, DER or PKCS#7: CA certificates; - is standard input."),
    ],
    skip_unusable: SkipUnusableOption = False,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Add CA certificates.

    All nodes get them at once. One unusable certificate refuses them all, unless --skip-unusable is given.
    More CAs than TLS can name to clients need confirmation, and so does a CA that is worse than the stored
    one that it replaces; in a script, use --force.

    Example: certcast ca add root.pem intermediate.pem
    """
    only_one_from_stdin(*files)
    login(context)
    sent = read_joined(files)
    from common.api.trust import NewTrustedCas

    body = NewTrustedCas(certificates=sent.text, skip_unusable=skip_unusable)
    try:
        answer = send_confirmed(
            context, body, lambda client, confirmed: client.post("trusted-cas", body=confirmed), force=force
        )
    except ApiRefusedError as error:
        raise error.with_findings(sent.locate(error.findings)) from error
    present(answer, lambda answer: _say_added(answer, sent), json=json)


def _say_added(answer: bytes, sent: JoinedFiles) -> None:
    from common.api.trust import TrustedCasAnswer
    from manager.cli.decoding import read
    from manager.cli.words import display_name

    taken = read(answer, TrustedCasAnswer)
    for each in taken.trusted_cas:
        done = "Added" if each.created else "Updated"
        say(f"{done} trusted CA {each.id}, {display_name(each)}.")
    say_left_out(sent.locate(taken.left_out or ()))
    # a list that is too long is among the warnings, whoever made it so
    say_consequences([each for each in taken.consequences or () if each.message not in taken.warnings])
    for warning in taken.warnings:
        say(f"Warning: {warning}")


app.command("import", help=IMPORT_HELP)(import_files)


@app.command("list")
def list_cas(
    context: typer.Context,
    builtin: Annotated[
        bool, typer.Option("--builtin", help="List the built-in CAs instead, which cannot be changed.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """List the trusted CAs.

    Those that were added here come in addition to the built-in ones.

    Example: certcast ca list
    """
    path = ("trusted-cas", "builtin") if builtin else ("trusted-cas",)
    answer = ask(context, lambda client: client.get(*path))
    present(answer, _show_builtin if builtin else _show_custom, json=json)


@app.command()
def show(
    context: typer.Context,
    ca_id: CaArgument,
    text: TextOption = False,
    pem: PemOption = False,
    json: JsonOption = False,
) -> None:
    """Show one trusted CA.

    Example: certcast ca show 2 --text
    """
    show_one(context, ("trusted-cas", str(ca_id)), _forms, text=text, pem=pem, json=json)


def _forms(answer: bytes) -> Forms:
    from common.api.trust import TrustedCaAnswer
    from manager.cli.certificate_details import describe_ca
    from manager.cli.decoding import read

    found = read(answer, TrustedCaAnswer)
    return Forms(text=found.text, pem=found.certificate, table=lambda: describe_ca(found, time.time()))


@app.command()
def edit(
    context: typer.Context,
    ca_id: CaArgument,
    certificate: Annotated[
        str | None,
        typer.Option(
            "--certificate",
            metavar="FILE",
            help="PEM: the certificate to replace it with; - is standard input.",
        ),
    ] = None,
    trusted_intermediate: Annotated[
        bool | None,
        typer.Option(
            "--verify-peers/--chains-only",
            help="Whether nodes trust an intermediate itself when they verify others, or only complete chains with it.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Go ahead even if that drops more than a fifth of the trusted CAs."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Change a trusted CA, on all nodes.

    Options that are not given change nothing.

    Example: certcast ca edit 2 --certificate renewed-root.pem
    """
    if certificate is None and trusted_intermediate is None:
        raise InvalidInputError("edit", "say what to change: --certificate, --verify-peers or --chains-only")
    login(context)
    sent = read_joined([certificate]) if certificate is not None else None
    from common.api.trust import TrustedCaEdit

    body = TrustedCaEdit(
        certificate=sent.text if sent is not None else None,
        trusted_intermediate=trusted_intermediate,
        force=force,
    )
    try:
        answer = send_confirmed(
            context,
            body,
            lambda client, confirmed: client.patch("trusted-cas", str(ca_id), body=confirmed),
            force=force,
        )
    except ApiRefusedError as error:
        raise (error.with_findings(sent.locate(error.findings)) if sent else error) from error
    present(answer, _say_changed, json=json)


def _say_changed(answer: bytes) -> None:
    from common.api.trust import TrustedCaAnswer
    from manager.cli.certificate_tables import ca_kind
    from manager.cli.decoding import read
    from manager.cli.words import display_name

    kept = read(answer, TrustedCaAnswer)
    say(f"Changed trusted CA {kept.id}, {display_name(kept)}: {kept.status}, {ca_kind(kept)}.")


@app.command()
def export(
    context: typer.Context,
    output: OutputOption = None,
    force: ReplaceOption = False,
    json: Annotated[bool, typer.Option("--json", help="Say what was written as JSON: name, bytes.")] = False,
) -> None:
    """Write the trusted CAs into a file.

    Writes all that were added here, in PEM, as ca-certificates.pem.

    Example: certcast ca export --output -
    """
    check_output(output, force=force)
    made = ask(context, lambda client: client.get_file("trusted-cas", "export"))
    path = save(made, output, force=force, secret=False)
    if path is None:
        return
    told = {"name": str(path), "bytes": len(made.content)}
    present(told, lambda _: say(f"Wrote {path}."), json=json)


@app.command()
def delete(
    context: typer.Context,
    ca_ids: CasArgument,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Stop trusting CAs, on all nodes.

    Either all are deleted, or none. The peers and chains of trust that depend on them are shown, and need
    confirmation; in a script, use --force.

    Example: certcast ca delete 2 5
    """
    from common.api.trust import TrustedCasToDelete

    answer = delete_confirmed(context, "trusted-cas", TrustedCasToDelete(ids=ca_ids, force=force))
    which = "trusted CA" if len(set(ca_ids)) == 1 else "trusted CAs"
    numbers = ", ".join(str(number) for number in dict.fromkeys(ca_ids))
    present(answer, lambda _: say(f"Deleted {which} {numbers}."), json=json)


def _show_custom(answer: bytes) -> None:
    from common.api.trust import TrustedCasAnswer
    from manager.cli.certificate_tables import CA_HEADINGS, FOLDED, ca_row
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    now_s = time.time()
    found = read(answer, TrustedCasAnswer)
    rows = [ca_row(each, now_s) for each in found.trusted_cas]
    nothing = "No trusted CAs were added: certcast ca add FILE. The built-in ones: certcast ca list --builtin"
    show_table(CA_HEADINGS, rows, nothing=nothing, folded=FOLDED)
    for warning in found.warnings:
        say(f"Warning: {warning}")


def _show_builtin(answer: bytes) -> None:
    from common.api.trust import BuiltinCas
    from manager.cli.certificate_tables import BUILTIN_HEADINGS, FOLDED, builtin_row
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    now_s = time.time()
    rows = [builtin_row(each, now_s) for each in read(answer, BuiltinCas).builtin]
    show_table(BUILTIN_HEADINGS, rows, nothing="The built-in list is empty.", folded=FOLDED)
