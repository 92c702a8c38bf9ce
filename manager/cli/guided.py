"""Guessed commands and options of the operator's command: what to type instead.

Decides which short names and forms of output there are. Invariant: a guess is answered, never run as
something else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import typer

from manager.usage import PlainGroup

SHORT: Final[Mapping[str, str]] = {"cert": "certificate"}
"""Short names for frequent commands."""

_FORMS: Final = (
    "For programs, use -o json (or --json); without it, output is for people. There is no YAML or CSV. Commands that "
    "write a file have --output FILE."
)
_FORM_OPTIONS: Final = frozenset({"-o", "--output", "--format", "--yaml", "--csv", "-j"})

_OWN_LOST: Final = "Change your own password in the browser, under your name. Replace a lost one on the manager's machine: 'certcast-manager user password NAME'."
_LOST: Final = (
    "Change your own password in the browser, under your name. Replace another user's on the manager's machine: "
    "'certcast-manager user password NAME'."
)
_RESETS: Final = ("password", "passwd", "reset", "reset-password", "change-password", "set-password")
_ANSWERS: Final = "Use 'certcast csr answer' for the certificate that the CA made; 'certcast csr show' prints the request for the CA."

_NOTES: Final[Mapping[str, Mapping[str, str]]] = {
    "": {
        "login": "There is no session to open: set CERTCAST_USER (each command asks for the password), or set CERTCAST_TOKEN to a token from 'certcast token create'.",
        **dict.fromkeys(_RESETS, _OWN_LOST),
        "version": "Use 'certcast --version'.",
        "help": "Use 'certcast --help', or 'certcast COMMAND --help'.",
        "join": "Run 'certcast-nodeagent join TOKEN' on the node, with the token that 'certcast node add' prints.",
        "generation": "Use 'certcast node generations NODE'.",
        "generations": "Use 'certcast node generations NODE'.",
        "log": "Use 'certcast audit'.",
        "logs": "Use 'certcast audit'.",
        "history": "Use 'certcast audit' for what was done, 'certcast alarm history' for past alarms, or 'certcast node generations NODE'.",
        "request": "Use 'certcast csr'.",
        "requests": "Use 'certcast csr'.",
        "fingerprint": "Use 'certcast trust', and 'certcast-manager fingerprint' on the manager's machine.",
    },
    "node": {
        "edit": "Change a node's names and addresses on its page in the browser.",
        "join": "Run 'certcast-nodeagent join TOKEN' on the node; 'certcast node join-token NODE' makes another token.",
        "push": "Use 'certcast push NODE'.",
        "status": "Use 'certcast status', or 'certcast node show NODE'.",
    },
    "certificate": {
        "renew": "Use 'certcast renew CERTIFICATE'; with a CA that is reached by email, 'certcast csr create --certificate CERTIFICATE'.",
        "revoke": "Only the CA that issued a certificate can revoke it; 'certcast certificate delete' removes it from the store.",
        "unassign": "Use 'certcast certificate edit CERTIFICATE --no-nodes', or assign another certificate.",
        "push": "Use 'certcast push'.",
    },
    "alarm": {
        "show": "'certcast alarm list' shows each alarm in full.",
        "delete": "An alarm ends by itself with its cause; 'certcast alarm acknowledge' notes that you have seen it.",
    },
    "audit": {
        "list": "Use 'certcast audit'.",
        "show": "Use 'certcast audit'.",
        "check": "Use 'certcast audit verify'.",
        "delete": "Nothing removes entries from the audit log.",
    },
    "user": dict.fromkeys(_RESETS, _LOST),
    "csr": {
        **dict.fromkeys(("upload", "sign", "submit", "finish", "complete"), _ANSWERS),
        "edit": "A request cannot be changed, because its key has signed it: delete it and create another.",
    },
    "token": {
        "edit": "A token cannot be changed: revoke it and create another.",
    },
    "account": {
        "delete": "Use 'certcast account remove', which removes it only here, or 'certcast account deactivate', which ends it at the CA.",
    },
    "renewal": {
        **dict.fromkeys(("add", "edit"), "Use 'certcast renewal set'."),
        "now": "Use 'certcast renew CERTIFICATE'.",
    },
    "oauth-client": {
        "edit": "A program cannot be changed: remove it and add it again.",
    },
}
"""Answers to guessed commands, by group ("" is the top level)."""


class GuidedGroup(PlainGroup):
    """A group of commands that resolves their short names, and answers guesses."""

    notes: ClassVar[Mapping[str, Mapping[str, str]]] = _NOTES

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Find a command, also by its short name."""
        return super().get_command(ctx, SHORT.get(cmd_name, cmd_name))

    def explained(self, error: typer.TyperException) -> typer.TyperException:
        """Explain an unknown output option by the forms of output that exist."""
        option = getattr(error, "option_name", "")
        if option in _FORM_OPTIONS:
            error.message = f"There is no option {option} here. {_FORMS}"
        return super().explained(error)


def with_json_option(args: Sequence[str]) -> list[str]:
    """Return arguments with any '-o json' replaced by a --json of the command; arguments after '--' are kept."""
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
