"""`certcast`: the operator's command. Talks to a manager's API, from anywhere.

Decides the global options and the exit statuses: 0 success, 1 the manager refused, 2 usage error, 3 the manager cannot
be reached or is not trusted. Every command is in the module of its topic.
"""

from importlib.metadata import version as version_of
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from common.errors import CertcastError
from common.runtime.command import READER_GONE
from common.runtime.terminal import say, say_lines
from manager.cli import (
    accounts,
    alarms,
    audit,
    certificates,
    csrs,
    explain,
    generations,
    host_key,
    join_tokens,
    nodes,
    oauth,
    pushes,
    renew,
    renewals,
    status,
    trust,
    trusted_cas,
    users,
)
from manager.cli.access import Options
from manager.cli.failures import exit_status, lines
from manager.cli.guided import GuidedGroup, with_json_option

INTRODUCTION: Final = """\
Manages the TLS certificates of a fleet of video-conferencing nodes. First set which manager, and who you are:

  export CERTCAST_URL=https://MANAGER CERTCAST_USER=admin

The first three steps:

  1. certcast node add NAME --name FQDN
       prints what to run on the node, which then joins
  2. certcast certificate add --certificate FILE --key FILE --node NAME
       stores a certificate, and delivers it to the node
  3. certcast status --watch
       shows what every node has and serves

'certcast --help' lists all commands, 'certcast COMMAND --help' shows each with an example.
"""


class _Group(GuidedGroup):
    """Prints a failure as one sentence on standard error, with the exit status of its kind."""

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        """Take '-o json', which many know from other commands, for --json."""
        return super().make_context(info_name, with_json_option(args), *more, **extra)

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
            help="CA bundle (PEM) for verifying the manager, in place of public CAs.",
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", envvar="CERTCAST_INSECURE", help="Do not verify the manager's certificate."
        ),
    ] = False,
) -> None:
    """Manage the TLS certificates of a fleet of video-conferencing nodes.

    Exit status: 0 success, 1 the manager refused, 2 usage error, 3 the manager cannot be reached or is not trusted.

    A lost password is replaced on the manager's machine, as root:

    certcast-manager user password NAME

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
app.add_typer(csrs.app, name="csr")
app.command("renew")(renew.renew)
app.add_typer(renewals.app, name="renewal")
app.add_typer(accounts.app, name="account")
app.add_typer(trusted_cas.app, name="ca")
app.add_typer(alarms.app, name="alarm")
app.command("push")(pushes.push)
app.command("status")(status.status)
app.command("explain")(explain.explain)
app.command("trust")(trust.trust)
app.add_typer(users.users, name="user")
app.add_typer(users.tokens, name="token")
app.add_typer(oauth.app, name="oauth-client")
app.add_typer(audit.app, name="audit")
app.add_typer(host_key.app, name="host-key")


def main() -> None:
    """Run the command."""
    app(prog_name="certcast")


def _is_typed(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name == "COMMANDLINE"


if __name__ == "__main__":
    main()
