"""`certcast account`: the CA accounts that order certificates.

Invariant: the key of a binding comes from a file, standard input or a prompt, never from an argument.
"""

from typing import TYPE_CHECKING, Annotated, Final

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
    NewDirectoryOption,
    NewNameOption,
    NoContactOption,
    NoEabOption,
    NoStagingOption,
    NoTrustedCaOption,
    StagingOption,
    TrustedCaOption,
)
from manager.cli.confirming import YesOption, can_ask, confirm_for_good, confirm_unless_forced
from manager.cli.failures import ApiRefusedError
from manager.cli.files import decode_text, only_one_from_stdin, read_bytes, read_text
from manager.cli.running import JsonOption, ask, confirm, group, login, present

if TYPE_CHECKING:
    from common.api.accounts import AccountAnswer, DirectoryAnswer
    from manager.cli.client import Client

_REFUSED_BY_CA: Final = 502

app = group("Accounts at CAs, with which certificates are ordered.")


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
    """Create an account, and register it at its CA.

    The manager makes the account's key, which never leaves it. You are asked to agree to the CA's terms of service; in a script, use --agree-to-terms. If the CA cannot be reached, the account is kept: 'certcast account register' tries again.

    Example: certcast account add le --directory letsencrypt --contact ops@example.com
    """
    only_one_from_stdin(trusted_ca, eab_key_file)
    if eab_key_file is not None and eab_id is None:
        raise InvalidInputError("eab-id", "--eab-key-file is the key for --eab-id; give both")
    login(context)
    from common.api.accounts import NewAccount

    directory_url, known_staging = _directory(directory)
    trusted_cas = read_text(trusted_ca) if trusted_ca is not None else ""
    binding_id, binding_key = _binding(eab_id, eab_key_file)
    body = NewAccount(
        name=name,
        directory_url=directory_url,
        staging_url=staging or known_staging or "",
        trusted_cas=trusted_cas,
        contact=contact or [],
        binding_id=binding_id or "",
        binding_key=binding_key or "",
    )
    made = _read(ask(context, lambda client: client.post("accounts", body=body)))
    if not json:
        say(f"Created account {made.id}, {made.name}.")
    try:
        registered = _register(context, made.id, agree=agree)
    except ApiRefusedError as error:
        kept = error.with_hint(f"the account is kept: 'certcast account register {made.id}' tries again")
        raise _with_correction(kept, made.id) from error
    present(registered, _say_registered, json=json)


@app.command()
def register(
    context: typer.Context, account_id: AccountArgument, agree: AgreeOption = False, json: JsonOption = False
) -> None:
    """Register an account at its CA, or find it there by its key.

    The first order registers the account too, but a CA with terms of service refuses that until you have agreed to them.

    Example: certcast account register le --agree-to-terms
    """
    try:
        registered = _register(context, account_id, agree=agree)
    except ApiRefusedError as error:
        raise _with_correction(error, account_id) from error
    present(registered, _say_registered, json=json)


@app.command("list")
def list_accounts(context: typer.Context, json: JsonOption = False) -> None:
    """List the accounts.

    Example: certcast account list
    """
    answer = ask(context, lambda client: client.get("accounts"))
    present(answer, _list, json=json)


def _list(answer: bytes) -> None:
    from common.api.accounts import AccountsAnswer
    from manager.cli.account_tables import HEADINGS, contacts, state
    from manager.cli.decoding import read
    from manager.cli.output import show_table

    rows = [
        (str(each.id), each.name, each.directory_url, contacts(each), state(each))
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
    """Show an account. Its key and the key of its binding are never shown.

    Example: certcast account show le --offers
    """
    path = ("accounts", str(account_id))
    answer = ask(context, lambda client: client.get(*path, *(("directory",) if offers else ())))
    present(answer, lambda answer: _describe(answer, offers=offers), json=json)


def _describe(answer: bytes, *, offers: bool) -> None:
    from manager.cli.account_tables import describe_account, describe_offers
    from manager.cli.output import show_pairs

    if offers:
        show_pairs(describe_offers(answer))
    else:
        show_pairs(describe_account(_read(answer)))


@app.command()
def edit(
    context: typer.Context,
    account_id: AccountArgument,
    name: NewNameOption = None,
    directory: NewDirectoryOption = None,
    staging: StagingOption = None,
    no_staging: NoStagingOption = False,
    contact: ContactOption = None,
    no_contact: NoContactOption = False,
    trusted_ca: TrustedCaOption = None,
    no_trusted_ca: NoTrustedCaOption = False,
    eab_id: EabIdOption = None,
    eab_key_file: EabKeyFileOption = None,
    no_eab: NoEabOption = False,
    json: JsonOption = False,
) -> None:
    """Correct an account, or change its email addresses.

    Options that are not given change nothing. The directory and the binding of a registered account cannot be changed; for another CA or binding, add another account.

    Example: certcast account edit le --contact ops@example.com --contact night@example.com
    """
    only_one_from_stdin(trusted_ca, eab_key_file)
    _check_either("staging", staging, no_staging)
    _check_either("contact", contact, no_contact)
    _check_either("trusted-ca", trusted_ca, no_trusted_ca)
    _check_either("eab", eab_id or eab_key_file, no_eab)
    login(context)
    from common.api.accounts import AccountEdit

    directory_url, known_staging = (None, None) if directory is None else _directory(directory)
    trusted_cas = None if trusted_ca is None else read_text(trusted_ca)
    binding_id, binding_key = ("", "") if no_eab else _binding(eab_id, eab_key_file)
    body = AccountEdit(
        name=name,
        directory_url=directory_url,
        staging_url="" if no_staging else staging or known_staging,
        trusted_cas="" if no_trusted_ca else trusted_cas,
        contact=[] if no_contact else contact or None,
        binding_id=binding_id,
        binding_key=binding_key,
    )
    if body == AccountEdit():
        raise InvalidInputError("edit", "say what to change: see 'certcast account edit --help'")
    answer = ask(context, lambda client: client.patch("accounts", str(account_id), body=body))
    present(answer, _say_changed, json=json)


def _say_changed(answer: bytes) -> None:
    from manager.cli.account_tables import contacts

    kept = _read(answer)
    say(f"Changed account {kept.id}, {kept.name}. The CA reaches it at {contacts(kept)}.")
    if not kept.url and kept.deactivated_at_s is None:
        say(f"It is not registered yet: certcast account register {kept.id}")


@app.command("change-key")
def change_key(context: typer.Context, account_id: AccountArgument, json: JsonOption = False) -> None:
    """Replace an account's key, here and at its CA.

    Use it if the key may have leaked. If it is interrupted, the next command or order that needs the account completes it.

    Example: certcast account change-key le
    """
    answer = ask(context, lambda client: client.post("accounts", str(account_id), "change-key"))
    present(answer, lambda answer: say(f"{_read(answer).name} has a new key."), json=json)


@app.command()
def deactivate(
    context: typer.Context, account_id: AccountArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """End an account at its CA, for good.

    Its certificates stay valid, but it renews them no longer. The renewals that would stop are shown first, and you are asked to confirm; in a script, use --force.

    Example: certcast account deactivate le
    """
    confirm_for_good(
        f"End account {account_id} at its CA? It cannot be used again.",
        [] if force else _renewed_with(context, account_id),
        force=force,
    )
    answer = ask(context, lambda client: client.post("accounts", str(account_id), "deactivate"))
    present(answer, lambda answer: say(f"{_read(answer).name} was deactivated."), json=json)


@app.command()
def remove(
    context: typer.Context, account_id: AccountArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """Remove an account and its key here; its CA is not told.

    Refused while a renewal uses the account. To end it at the CA first, use 'certcast account deactivate'.

    Example: certcast account remove le
    """
    confirm_unless_forced(
        f"Remove account {account_id} and its key?",
        force=force,
        check=_unchecked,
    )
    answer = ask(context, lambda client: client.delete("accounts", str(account_id)))
    present(answer, lambda _: say(f"Removed account {account_id}."), json=json)


def _renewed_with(context: typer.Context, account_id: int) -> list[str]:
    """Return a sentence for each renewal that would stop without this account."""
    from manager.cli.renewal_options import find_renewals
    from manager.cli.renewal_tables import renewed

    own = [each for each in ask(context, find_renewals) if each.account == account_id]
    return [
        f"renewal {each.id} of {renewed(each)} would stop: give it another account first (certcast renewal set {each.id} --account ACCOUNT)"
        for each in own
    ]


def _unchecked() -> None:
    """Check nothing: the account is known to exist, because its name was turned into a number."""


def _directory(text: str) -> tuple[str, str | None]:
    """Return the directory and the staging directory of a CA, given by a known name or by its directory's URL."""
    known = KNOWN_CAS.get(text)
    return (text, None) if known is None else (known.directory_url, known.staging_url)


def _binding(eab_id: str | None, file: str | None) -> tuple[str | None, str | None]:
    """Return a binding's identifier and key as far as given; prompts for the key of a lone identifier."""
    if file is not None:
        return eab_id, decode_text(read_bytes(file), "the key of --eab-key-file").strip()
    if eab_id is None:
        return None, None
    return eab_id, prompt(f"Key for the binding {eab_id}", instead="--eab-key-file").strip()


def _check_either(option: str, given: object, none: object) -> None:
    """Refuse an option given together with its --no- form. Raises InvalidInputError."""
    if given and none:
        raise InvalidInputError(option, f"--{option} and --no-{option} exclude each other; leave one out")


def _register(context: typer.Context, number: int, *, agree: bool) -> bytes:
    """Register an account, after asking for agreement to the CA's terms if needed. Raises CertcastError."""
    path = ("accounts", str(number))

    async def look(client: "Client") -> "tuple[AccountAnswer, DirectoryAnswer]":
        from common.api.accounts import DirectoryAnswer
        from manager.cli.decoding import read

        return _read(await client.get(*path)), read(await client.get(*path, "directory"), DirectoryAnswer)

    known, offered = ask(context, look)
    if offered.terms_url and not (agree or known.terms_agreed or known.url):
        if not can_ask():
            raise ApiRefusedError(
                f"the CA has terms of service ({offered.terms_url}); to agree to them, use --agree-to-terms",
                status=0,
            )
        if not confirm(f"Do you agree to the CA's terms of service, {offered.terms_url}?"):
            raise ApiRefusedError("the account was not registered", status=0)
        agree = True
    from common.api.accounts import Registration

    body = Registration(terms_agreed=agree)
    return ask(context, lambda client: client.post(*path, "register", body=body))


def _with_correction(error: ApiRefusedError, number: int) -> ApiRefusedError:
    """Return a registration's error with a hint how to correct the account, if the CA refused it."""
    if error.status != _REFUSED_BY_CA:
        return error
    return error.with_hint(
        f"to correct the account: certcast account edit {number} --trusted-ca FILE (the root of a private CA), --eab-id ID (its binding) or --directory URL"
    )


def _say_registered(answer: bytes) -> None:
    found = _read(answer)
    say(f"{found.name} is registered at {found.directory_url}.")


def _read(answer: bytes) -> "AccountAnswer":
    from common.api.accounts import AccountAnswer
    from manager.cli.decoding import read

    return read(answer, AccountAnswer)
