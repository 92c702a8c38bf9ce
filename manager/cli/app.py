"""`certcast`: the operator's command. Talks to a manager's API, from anywhere.

Decides the global options and the exit statuses: 0 done, 1 the manager refused, 2 asked wrongly, 3 the manager cannot
be reached or is not trusted. Every command is in the module of its topic.
"""

from collections.abc import Mapping, Sequence
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from common.errors import CertcastError
from common.runtime.command import READER_GONE
from common.runtime.terminal import say, say_lines
from manager.cli import (
    alarms,
    audit,
    certificates,
    explain,
    generations,
    join_tokens,
    nodes,
    oauth,
    pushes,
    requests,
    status,
    trusted_cas,
    trusting,
    users,
)
from manager.cli.access import Options
from manager.cli.failures import exit_status, lines
from manager.usage import PlainGroup

INTRODUCTION: Final = """\
Keeps the TLS certificates of a fleet of video-conferencing nodes right. First say which manager, and who you are:

  export CERTCAST_URL=https://MANAGER CERTCAST_USER=admin

The first three steps:

  1. certcast node add NAME --name FQDN
       prints what to run on the node, which then joins
  2. certcast certificate add --certificate FILE --key FILE --node NAME
       keeps a certificate, and delivers it to the node
  3. certcast status --watch
       shows what every node has and serves

'certcast --help' lists all commands, 'certcast COMMAND --help' shows each with an example.
"""


SHORT: Final[Mapping[str, str]] = {"cert": "certificate"}
"""For those who type it every day."""


def as_meant(args: Sequence[str]) -> list[str]:
    """Return arguments with '-o json', wherever it stands, as the command's own --json; what stands after '--' is no option."""
    made: list[str] = []
    left, is_json = list(args), False
    while left and left[0] != "--":
        each = left.pop(0)
        if each == "-o" and left[:1] == ["json"]:
            left.pop(0)
            is_json = True
        elif each in {"-ojson", "-o=json"}:
            is_json = True
        else:
            made.append(each)
    return [*made, *(["--json"] if is_json else []), *left]


class _Group(PlainGroup):
    """Says a failure in one sentence on standard error, with the exit status of its kind."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command, also by its short name."""
        return super().get_command(ctx, SHORT.get(cmd_name, cmd_name))

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Take '-o json', which many know from other commands, for --json."""
        return super().make_context(info_name, as_meant(args), *more, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except CertcastError as error:
            for line in lines(error):
                say(line, err=True)
            raise typer.Exit(exit_status(error)) from error
        except BrokenPipeError as error:
            raise typer.Exit(READER_GONE) from error


def _version(wanted: bool) -> None:
    if wanted:
        say(f"certcast {version_of('certcast')}")
        raise typer.Exit


app = typer.Typer(
    cls=_Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


TokenOption = Annotated[
    str | None,
    typer.Option(
        "--token",
        metavar="TOKEN",
        envvar="CERTCAST_TOKEN",
        help="An API token instead of a user; the variable keeps it out of the list of processes.",
    ),
]


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    url: Annotated[
        str | None,
        typer.Option("--url", metavar="URL", envvar="CERTCAST_URL", help="The manager: https://HOST[:PORT]."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(
            "--user",
            metavar="NAME",
            envvar="CERTCAST_USER",
            help="Who you are. The password is CERTCAST_PASSWORD, or is asked for.",
        ),
    ] = None,
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password from the first line of standard input."),
    ] = False,
    token: TokenOption = None,
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            metavar="FILE",
            envvar="CERTCAST_CA",
            help="PEM: whom to believe to be the manager, instead of public CAs.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", envvar="CERTCAST_INSECURE", help="Do not check who the manager is."),
    ] = False,
) -> None:
    """Keep the TLS certificates of a fleet of video-conferencing nodes right.

    Exit status: 0 done, 1 the manager refused, 2 asked wrongly, 3 the manager cannot be reached or is not trusted.

    Example: certcast --url https://manager.example.com --user admin status
    """
    del version  # its callback has ended the command
    if context.invoked_subcommand is None:
        say_lines(INTRODUCTION)
        return
    if user and _is_typed(context, "user") and not _is_typed(context, "token"):
        token = None  # a variable left in the environment does not outweigh what was typed
    context.obj = Options(
        url=url, user=user, token=token, password_stdin=password_stdin, ca=ca, insecure=insecure
    )


app.add_typer(nodes.app, name="node")
nodes.app.command("join-tokens")(join_tokens.list_tokens)
nodes.app.command("revoke-join-token")(join_tokens.revoke)
for command in (generations.generations, generations.difference, generations.republish):
    nodes.app.command()(command)
app.add_typer(certificates.app, name="certificate")
app.add_typer(requests.app, name="csr")
app.add_typer(trusted_cas.app, name="ca")
app.add_typer(alarms.app, name="alarm")
app.command("push")(pushes.push)
app.command("status")(status.status)
app.command("explain")(explain.explain)
app.command("trust")(trusting.trust)
app.add_typer(users.users, name="user")
app.add_typer(users.tokens, name="token")
app.add_typer(oauth.app, name="oauth-client")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run the command."""
    app(prog_name="certcast")


def _is_typed(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


if __name__ == "__main__":
    main()
