"""`certcast ca`: the trusted CAs of all nodes."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from manager.operator.access import STDIN, only_one_from_stdin, read_text
from manager.operator.failures import Finding, RefusedError
from manager.operator.running import ForceOption, JsonOption, ask, group, login, say, say_raw
from manager.operator.words import until

app = group("Trust CAs, everywhere.")

_BEGIN = "-----BEGIN "


@app.command()
def add(
    context: typer.Context,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="PEM: CA certificates; - is standard input.")
    ],
    json: JsonOption = False,
) -> None:
    """Add CA certificates. All nodes get them at once; one certificate that cannot be used stops them all.

    Example: certcast ca add root.pem intermediate.pem
    """
    only_one_from_stdin(*files)
    login(context)
    texts = [_with_end(read_text(name)) for name in files]
    try:
        answer = ask(
            context, lambda client: client.post("trusted-cas", body={"certificates": "".join(texts)})
        )
    except RefusedError as error:
        raise error.with_findings([_place(each, files, texts) for each in error.findings]) from error
    if json:
        say_raw(answer)
        return
    from manager.operator.shapes import TrustedCas, read

    for each in read(answer, TrustedCas).trusted_cas:
        done = "Added" if each.created else "Already there:"
        say(f"{done} trusted CA {each.id}, {each.subject_name}.")


@app.command("list")
def list_cas(context: typer.Context, json: JsonOption = False) -> None:
    """List the trusted CAs that were added here.

    Example: certcast ca list
    """
    answer = ask(context, lambda client: client.get("trusted-cas"))
    if json:
        say_raw(answer)
        return
    from manager.operator.output import show_table
    from manager.operator.shapes import TrustedCas, read

    now_s = time.time()
    rows = [
        (
            str(each.id),
            each.subject_name,
            each.issuer_name,
            until(each.not_after_s, now_s) if each.not_after_s is not None else "-",
            each.fingerprint[:8],
            each.status or ("root" if each.self_signed else "intermediate"),
        )
        for each in read(answer, TrustedCas).trusted_cas
    ]
    headings = ("id", "subject", "issuer", "expires", "fingerprint", "status")
    show_table(headings, rows, nothing="No trusted CAs yet: certcast ca add FILE")


@app.command()
def delete(
    context: typer.Context,
    ca_id: Annotated[int, typer.Argument(metavar="ID", help="The number in 'certcast ca list'.")],
    force: ForceOption = False,
    json: JsonOption = False,
) -> None:
    """Stop trusting a CA, on all nodes.

    Example: certcast ca delete 2
    """
    answer = ask(context, lambda client: client.delete("trusted-cas", str(ca_id), force=force))
    if json:
        say_raw(answer)
        return
    say(f"Deleted trusted CA {ca_id}.")


def _with_end(text: str) -> str:
    """End the last line, so that the next file begins a new one."""
    return text if text.endswith("\n") else f"{text}\n"


def _place(finding: Finding, files: Sequence[str], texts: Sequence[str]) -> Finding:
    """Say in which file a finding is: the files went as one text, whose lines and blocks are counted through."""
    if finding.line is None or len(files) == 1:
        return replace(finding, file=None if len(files) > 1 else _shown(files[0]))
    line, block = finding.line, finding.block
    for name, text in zip(files, texts, strict=True):
        if line <= (held := text.count("\n")):
            return replace(finding, file=_shown(name), line=line, block=block)
        line -= held
        block = block - text.count(_BEGIN) if block is not None else None
    return finding


def _shown(name: str) -> str:
    return "standard input" if name == STDIN else name
