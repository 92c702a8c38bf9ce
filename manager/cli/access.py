"""Credentials and trust: which manager is asked, as whom, and how it is verified.

Decides the credentials from options and variables. Leaves the request to `client`. Invariant: a password is
never an argument and never shown; it comes from a variable, standard input or a prompt.
"""

import ipaddress
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from common.errors import InvalidInputError
from common.text import printable
from manager.cli.files import INPUT_MAX_BYTES, decode_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Access to a manager, which every command needs. `password` and `token` are "" if unused."""

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca: Path | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The global options as given, before anything is asked for; commands that need no manager never resolve them."""

    url: str | None
    user: str | None
    token: str | None = field(repr=False)
    password_stdin: bool
    ca: Path | None
    insecure: bool

    def resolve(self, *, needs_password: bool = False) -> Access:
        """Settle the credentials; may read standard input or prompt. Raises InvalidInputError.

        `needs_password` is for requests that the manager permits to no token; a given token is then ignored.
        """
        url = check_url(self.url, insecure=self.insecure)
        if self.ca is not None and self.insecure:
            raise InvalidInputError("ca", "--ca and --insecure exclude each other; leave one out")
        if self.ca is not None and not self.ca.is_file():
            raise InvalidInputError("ca", f"there is no file {self.ca} (--ca)")
        if self.token and needs_password and not self.user:
            raise InvalidInputError(
                "user", "no token may do this, only your password: say who you are with --user NAME"
            )
        if self.token and not needs_password:
            return Access(url=url, token=self.token, ca=self.ca, insecure=self.insecure)
        if not self.user:
            raise InvalidInputError("user", "say who you are: --user NAME (CERTCAST_USER) or CERTCAST_TOKEN")
        if ":" in self.user:  # RFC 7617 2: the colon ends the user name
            raise InvalidInputError("user", "a user name has no colon; the password is asked for separately")
        return Access(url=url, user=self.user, password=self._password(), ca=self.ca, insecure=self.insecure)

    def _password(self) -> str:
        if self.password_stdin:
            return read_line("the password (--password-stdin)")
        if (given := os.environ.get("CERTCAST_PASSWORD")) is not None:
            return given
        return prompt(f"Password of {self.user}", instead="CERTCAST_PASSWORD or --password-stdin")


def check_url(url: str | None, *, insecure: bool) -> str:
    """Return the manager's URL without a trailing slash. Raises InvalidInputError.

    Plain http would show the password to anyone in between, so it is for this machine or --insecure only.
    """
    if not url:
        raise InvalidInputError("url", "say which manager: --url https://MANAGER (CERTCAST_URL)")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
        (host or "").encode("idna")
    except UnicodeError as error:
        raise InvalidInputError("url", "--url has a host name with an empty or too long part") from error
    except ValueError as error:
        raise InvalidInputError("url", f"'{url}' is not a URL; it looks like https://MANAGER") from error
    if "@" in parts.netloc:
        raise InvalidInputError("url", "--url must not carry a user or password; use --user")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment:
        raise InvalidInputError("url", f"'{url}' is not a manager's URL; it looks like https://MANAGER")
    if parts.scheme == "http" and not insecure and not _is_this_machine(host):
        raise InvalidInputError(
            "url", "http shows the password to anyone in between; use https, or --insecure"
        )
    return url.rstrip("/")


def prompt(text: str, *, instead: str, confirm: bool = False) -> str:
    """Ask at the terminal without showing the answer. Raises InvalidInputError if there is no terminal."""
    import typer

    if not sys.stdin.isatty():
        raise InvalidInputError("password", f"there is no terminal to ask for a password at; use {instead}")
    return str(typer.prompt(printable(text), hide_input=True, confirmation_prompt=confirm, err=True))  # noqa: TID251 - asks for secrets


def read_line(what: str) -> str:
    """Read one line of standard input; several such lines follow each other in the order of use.

    Raises InvalidInputError if there is none.
    """
    line = sys.stdin.buffer.readline(INPUT_MAX_BYTES)
    if not line:
        raise InvalidInputError("stdin", f"standard input ended where {what} was expected")
    return decode_text(line, what).rstrip("\r\n")


def passphrase(*, ask: bool, from_stdin: bool) -> str | None:
    """Return the passphrase of an encrypted key, from standard input or a prompt; None if neither is wanted.

    Raises InvalidInputError.
    """
    if ask and from_stdin:
        raise InvalidInputError(
            "passphrase", "--ask-passphrase and --passphrase-stdin exclude each other; leave one out"
        )
    if from_stdin:
        return read_line("the passphrase (--passphrase-stdin)")
    return prompt("Passphrase of the private key", instead="--passphrase-stdin") if ask else None


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
