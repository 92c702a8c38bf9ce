"""`certcast account`: accounts at CAs, with which certificates are ordered.

Invariant: the key of a binding comes from a file, standard input or a prompt, never from an argument.
"""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from common.errors import InvalidInputError
from common.explained.cas import KNOWN_CAS
from common.runtime.terminal import say
from manager.cli.access import prompt
from manager.cli.account_options import (
    AccountArgument,
    AgreeOption,
    ContactOption,
    DirectoryOption,
    EabIdOption,
    EabKeyFileOption,
    StagingOption,
    TrustedCaOption,
)
from manager.cli.confirming import YesOption, can_ask, confirm_unless_forced
from manager.cli.failures import RefusedError
from manager.cli.files import decoded, only_one_from_stdin, read_bytes, read_text
from manager.cli.running import JsonOption, ask, confirm, group, login, say_answer
from manager.cli.words import moment

if TYPE_CHECKING:
    from common.api.accounts import AccountAnswer, DirectoryAnswer
    from manager.cli.client import Client

app = group("Accounts at CAs, with which certificates are ordered.")

HEADINGS: Final = ("id", "account", "directory", "contact", "state")


@app.command()
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What you call it.")],
    directory: DirectoryOption,
    staging: StagingOption = None,
    contact: ContactOption = None,
    trusted_ca: TrustedCaOption = None,
    eab_id: EabIdOption = None,
    eab_key_file: EabKeyFileOption = None,
    agree: AgreeOption = False,
    json: JsonOption = False,
) -> None:
    """Make an account, and register it at its CA.

    Its key is made by the manager and never leaves it. You are asked to agree to the CA's terms of service; in a script, use --agree-to-terms. If the CA cannot be asked, the account is kept: 'certcast account register' tries again.

    Example: certcast account add le --directory letsencrypt --contact ops@example.com
    """
    only_one_from_stdin(trusted_ca, eab_key_file)
    if eab_key_file is not None and eab_id is None:
        raise InvalidInputError("eab-id", "--eab-key-file is the key for --eab-id; give both")
    login(context)
    known = KNOWN_CAS.get(directory)
    body: dict[str, Any] = {
        "name": name,
        "directory_url": directory if known is None else known.directory_url,
        "staging_url": staging or ("" if known is None else known.staging_url),
        "trusted_cas": read_text(trusted_ca) if trusted_ca is not None else "",
        "contact": contact or [],
        "binding_id": eab_id or "",
        "binding_key": _binding_key(eab_id, eab_key_file),
    }
    answer = ask(context, lambda client: client.post("accounts", body=body))
    made = _read(answer)
    if not json:
        say(f"Made account {made.id}, {made.name}.")
    try:
        registered = _register(context, made.id, agree=agree)
    except RefusedError as error:
        raise error.hinted(
            f"the account is kept: 'certcast account register {made.id}' tries again; if what you gave was wrong, 'certcast account remove {made.id}' and add it again"
        ) from error
    _say(registered, json=json)


@app.command()
def register(
    context: typer.Context, account_id: AccountArgument, agree: AgreeOption = False, json: JsonOption = False
) -> None:
    """Register an account at its CA, or find it there by its key.

    It is also done when the account is first needed, but a CA with terms of service refuses it until somebody has agreed to them.

    Example: certcast account register le --agree-to-terms
    """
    _say(_register(context, account_id, agree=agree), json=json)


@app.command("list")
def list_accounts(context: typer.Context, json: JsonOption = False) -> None:
    """List the accounts.

    Example: certcast account list
    """
    answer = ask(context, lambda client: client.get("accounts"))
    if json:
        say_answer(answer)
        return
    from common.api.accounts import AccountsAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [
        (str(each.id), each.name, each.directory_url, _contacts(each), _state(each))
        for each in read(answer, AccountsAnswer).accounts
    ]
    show_table(HEADINGS, rows, nothing="No accounts yet: certcast account add --help")


@app.command()
def show(
    context: typer.Context,
    account_id: AccountArgument,
    offers: Annotated[
        bool, typer.Option("--offers", help="Ask the CA what it offers: its terms, its profiles.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Show an account. Its key is never shown, nor is that of its binding.

    Example: certcast account show le --offers
    """
    path = ("accounts", str(account_id))
    answer = ask(context, lambda client: client.get(*path, *(("directory",) if offers else ())))
    if json:
        say_answer(answer)
        return
    from manager.cli.output import show_pairs

    if offers:
        show_pairs(_offered(answer))
    else:
        show_pairs(_described(_read(answer)))


@app.command()
def edit(
    context: typer.Context,
    account_id: AccountArgument,
    contact: ContactOption = None,
    no_contact: Annotated[bool, typer.Option("--no-contact", help="Leave the CA no address.")] = False,
    json: JsonOption = False,
) -> None:
    """Change at which addresses the CA reaches you.

    Example: certcast account edit le --contact ops@example.com --contact night@example.com
    """
    if bool(contact) == no_contact:
        raise InvalidInputError("contact", "say which: --contact MAIL, or --no-contact")
    body = {"contact": contact or []}
    answer = ask(context, lambda client: client.patch("accounts", str(account_id), body=body))
    if json:
        say_answer(answer)
        return
    kept = _read(answer)
    say(f"The CA reaches {kept.name} at {_contacts(kept)}.")


@app.command("change-key")
def change_key(context: typer.Context, account_id: AccountArgument, json: JsonOption = False) -> None:
    """Replace an account's key, here and at its CA.

    Use it if the key may be known to somebody else. If it is interrupted, the next command or order that needs the account brings it to its end.

    Example: certcast account change-key le
    """
    answer = ask(context, lambda client: client.post("accounts", str(account_id), "change-key", body={}))
    if json:
        say_answer(answer)
        return
    say(f"{_read(answer).name} has a new key.")


@app.command()
def deactivate(
    context: typer.Context, account_id: AccountArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """End an account at its CA, for good.

    Certificates that were ordered with it stay valid, and are not renewed with it any more.

    Example: certcast account deactivate le
    """
    confirm_unless_forced(
        f"End account {account_id} at its CA? It cannot be used again.", force=force, check=_unchecked
    )
    answer = ask(context, lambda client: client.post("accounts", str(account_id), "deactivate", body={}))
    if json:
        say_answer(answer)
        return
    say(f"{_read(answer).name} was deactivated.")


@app.command()
def remove(
    context: typer.Context, account_id: AccountArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """Forget an account with its key; its CA is not told.

    Refused while something is renewed with it. 'certcast account deactivate' ends it at the CA before.

    Example: certcast account remove le
    """
    confirm_unless_forced(
        f"Forget account {account_id} with its key?",
        force=force,
        check=_unchecked,
    )
    answer = ask(context, lambda client: client.delete("accounts", str(account_id)))
    if json:
        say_answer(answer)
        return
    say(f"Removed account {account_id}.")


def _unchecked() -> None:
    """Do nothing: the account was found when its name became a number."""


def _binding_key(eab_id: str | None, file: str | None) -> str:
    if eab_id is None:
        return ""
    if file is None:
        return prompt(f"Key for the binding {eab_id}", instead="--eab-key-file").strip()
    return decoded(read_bytes(file), "the key of --eab-key-file").strip()


def _register(context: typer.Context, number: int, *, agree: bool) -> bytes:
    """Register an account, after a question for whether somebody agrees to the CA's terms. Raises CertcastError."""
    path = ("accounts", str(number))

    async def look(client: "Client") -> "tuple[AccountAnswer, DirectoryAnswer]":
        from common.api.accounts import DirectoryAnswer
        from manager.cli.decoding import read

        return _read(await client.get(*path)), read(await client.get(*path, "directory"), DirectoryAnswer)

    known, offered = ask(context, look)
    if offered.terms_url and not (agree or known.terms_agreed):
        if not can_ask():
            raise RefusedError(
                f"the CA has terms of service ({offered.terms_url}); to agree to them, use --agree-to-terms",
                status=0,
            )
        if not confirm(f"Do you agree to the CA's terms of service, {offered.terms_url}?"):
            raise RefusedError("the account was not registered", status=0)
        agree = True
    return ask(context, lambda client: client.post(*path, "register", body={"terms_agreed": agree}))


def _say(answer: bytes, *, json: bool) -> None:
    if json:
        say_answer(answer)
        return
    found = _read(answer)
    say(f"{found.name} is registered at {found.directory_url}.")


def _read(answer: bytes) -> "AccountAnswer":
    from common.api.accounts import AccountAnswer
    from manager.cli.decoding import read

    return read(answer, AccountAnswer)


def _contacts(account: "AccountAnswer") -> str:
    return ", ".join(each.removeprefix("mailto:") for each in account.contact) or "no address"


def _state(account: "AccountAnswer") -> str:
    if account.deactivated_s is not None:
        return "deactivated"
    return "registered" if account.url else "not registered yet"


def _described(account: "AccountAnswer") -> list[tuple[str, str]]:
    own_trust = "the CAs that were given" if account.trusted_cas else "public CAs"
    return [
        ("account", f"{account.id} {account.name}"),
        ("state", _state(account)),
        ("directory", account.directory_url),
        ("verified with", own_trust),
        ("test orders at", account.staging_url or "nowhere"),
        ("contact", _contacts(account)),
        ("binding", account.binding_id or "none"),
        ("address at the CA", account.url or "none yet"),
        ("terms", "agreed to" if account.terms_agreed else "not agreed to"),
        ("made", moment(account.created_s)),
    ]


def _offered(answer: bytes) -> list[tuple[str, str | list[str]]]:
    from common.api.accounts import DirectoryAnswer
    from manager.cli.decoding import read

    found = read(answer, DirectoryAnswer)
    profiles = [f"{name}: {text}" for name, text in sorted(found.profiles.items())]
    return [
        ("terms", found.terms_url or "none"),
        ("website", found.website or "none"),
        ("profiles", profiles or "none"),
        ("binding", "needed" if found.needs_binding else "not needed"),
        ("suggests when to renew", "yes" if found.has_renewal_info else "no"),
    ]
