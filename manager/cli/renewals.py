"""`certcast renewal`: how certificates are renewed, and the state of their renewals."""

import time
from typing import TYPE_CHECKING, Any, Final

import typer

from common.errors import InvalidInputError
from common.ids import node_name
from common.runtime.terminal import say
from manager.cli.account_options import AccountOption, find_accounts
from manager.cli.confirming import YesOption, confirm_unless_forced, send_confirmed
from manager.cli.failures import ApiRefusedError
from manager.cli.renew import CONFLICT, WAIT_S, begin
from manager.cli.renewal_options import (
    ByRequestOption,
    ChallengeOption,
    ChangedRenewalArgument,
    KeepKeyOption,
    KeyTypeOption,
    NamesOption,
    NodeNamesOption,
    NodesOption,
    OwnNamesOption,
    PausedOption,
    PreferredChainOption,
    ProfileOption,
    RenewalArgument,
    RenewedOption,
    SendToOption,
    SlotOption,
    TimeoutOption,
    WaitOption,
    find_renewals,
)
from manager.cli.running import JsonOption, ask, group, present

if TYPE_CHECKING:
    from common.api.renewals import NewRenewal, RenewalAnswer
    from manager.cli.client import Client

app = group("Renew certificates automatically.")

_BY_DNS: Final = frozenset({"dns-01", "dns-persist-01"})
_ORDERED: Final = ("account", "challenge", "profile", "preferred_chain", "key", "keeps_key", "names")
"""Fields of an order's terms, which request and answer have in common."""


@app.command("list")
def list_renewals(context: typer.Context, json: JsonOption = False) -> None:
    """List the renewals, and when each is due next.

    Example: certcast renewal list
    """

    async def work(client: "Client") -> tuple[bytes, dict[int, str]]:
        return await client.get("renewals"), {each.id: each.name for each in await find_accounts(client)}

    answer, accounts = ask(context, work)
    present(answer, lambda answer: _list(answer, accounts), json=json)


def _list(answer: bytes, accounts: dict[int, str]) -> None:
    from common.api.renewals import RenewalsAnswer
    from manager.cli.decoding import read
    from manager.cli.output import show_table
    from manager.cli.renewal_tables import FOLDED, HEADINGS, row

    now_s = time.time()
    rows = [row(each, accounts, now_s) for each in read(answer, RenewalsAnswer).renewals]
    show_table(HEADINGS, rows, nothing="Nothing is renewed yet: certcast renewal set --help", folded=FOLDED)


@app.command()
def show(context: typer.Context, renewal_id: RenewalArgument, json: JsonOption = False) -> None:
    """Show a renewal with its latest orders.

    Each order is shown step by step, with the CA's answers.

    Example: certcast renewal show meet.example.com
    """

    async def work(client: "Client") -> tuple[bytes, dict[int, str]]:
        accounts = {each.id: each.name for each in await find_accounts(client)}
        return await client.get("renewals", str(renewal_id)), accounts

    answer, accounts = ask(context, work)
    present(answer, lambda answer: _describe(answer, accounts), json=json)


def _describe(answer: bytes, accounts: dict[int, str]) -> None:
    from manager.cli.output import show_pairs
    from manager.cli.renewal_tables import attempt, described

    found = _read(answer)
    show_pairs(described(found, accounts, time.time()))
    for order in found.orders:
        say("")
        for line in attempt(order):
            say(line)


@app.command("set")
def set_terms(
    context: typer.Context,
    renewal_id: ChangedRenewalArgument = None,
    certificate_id: RenewedOption = None,
    account: AccountOption = None,
    challenge: ChallengeOption = None,
    profile: ProfileOption = None,
    preferred_chain: PreferredChainOption = None,
    key_type: KeyTypeOption = None,
    keep_key: KeepKeyOption = None,
    names: NamesOption = None,
    own_names: OwnNamesOption = False,
    node_names: NodeNamesOption = False,
    nodes: NodesOption = None,
    slot: SlotOption = None,
    paused: PausedOption = False,
    by_request: ByRequestOption = False,
    send_to: SendToOption = None,
    force: YesOption = False,
    json: JsonOption = False,
) -> None:
    """Set up a renewal, or change one.

    Options that are not given change nothing. To renew a stored certificate, use --certificate. For new names, use --name and --node: the first certificate is ordered at once, and replaces the nodes' present one. Replacing any but a temporary certificate needs confirmation; in a script, use --force. To test it first, add --paused, then run 'certcast renewal test'.

    A running order with other terms is abandoned, unless the CA has its signing request already (with another account: unless the CA has signed).

    Example: certcast renewal set --certificate meet.example.com --account le
    """
    if bool(names) + own_names + node_names > 1:
        raise InvalidInputError("names", "--name, --certificate-names and --node-names exclude each other")
    given = _given(
        account=account,
        challenge=challenge,
        profile=profile,
        preferred_chain=preferred_chain,
        key=key_type,
        keeps_key=keep_key,
        names=[] if own_names else names or None,
        send_to=send_to,
    )
    _check_means(given, by_request=by_request)
    if renewal_id is not None:
        _check_unplaced(certificate_id, is_placed=bool(nodes or slot or paused))
        answer = _change(context, renewal_id, given, by_request=by_request, node_names=node_names)
    else:
        from common.api.renewals import NewRenewal

        placed: list[str] = [node_name(each) for each in nodes or ()]
        new = NewRenewal(
            certificate=certificate_id, nodes=placed, slot=slot or "server", paused=paused, **given
        )
        _check_new(new, by_request=by_request)
        answer = _add(context, new, node_names=node_names, force=force)
    done = "Changed" if renewal_id is not None else "Set up"
    _say(answer, done, profile=profile or "", is_by_dns=challenge in _BY_DNS, json=json)


@app.command()
def pause(context: typer.Context, renewal_id: RenewalArgument, json: JsonOption = False) -> None:
    """Pause a renewal until it is resumed.

    An alarm still warns before the certificate expires.

    Example: certcast renewal pause meet.example.com
    """
    _say(_act(context, renewal_id, "pause"), "Paused", json=json)


@app.command()
def resume(context: typer.Context, renewal_id: RenewalArgument, json: JsonOption = False) -> None:
    """Resume a renewal.

    A failed renewal is tried again at once, unless its CA has asked to wait.

    Example: certcast renewal resume meet.example.com
    """
    _say(_act(context, renewal_id, "resume"), "Resumed", json=json)


@app.command("test")
def try_out(
    context: typer.Context,
    renewal_id: RenewalArgument,
    wait: WaitOption = False,
    timeout_s: TimeoutOption = WAIT_S,
    json: JsonOption = False,
) -> None:
    """Try a renewal at the CA's staging environment.

    This is a full order, but its certificate is discarded. It does not count against the CA's limits.

    Example: certcast renewal test meet.example.com --wait
    """
    begin(context, renewal_id, "test", wait=wait, timeout_s=timeout_s, json=json)


@app.command()
def remove(
    context: typer.Context, renewal_id: RenewalArgument, force: YesOption = False, json: JsonOption = False
) -> None:
    """Stop renewing a certificate; the certificate stays where it is.

    Example: certcast renewal remove meet.example.com
    """
    confirm_unless_forced(
        f"Remove renewal {renewal_id} and its past orders?", force=force, check=lambda: None
    )
    answer = ask(context, lambda client: client.delete("renewals", str(renewal_id)))
    present(answer, lambda _: say(f"Removed renewal {renewal_id}."), json=json)


def _given(**told: Any) -> dict[str, Any]:
    """Return the given fields of a renewal's terms; None means not given."""
    return {name: value for name, value in told.items() if value is not None}


def _check_means(given: dict[str, Any], *, by_request: bool) -> None:
    """Refuse options for orders together with --by-request. Raises InvalidInputError."""
    if by_request and (ordered := [name for name in _ORDERED if name in given]):
        raise InvalidInputError(
            ordered[0],
            "with --by-request nothing is ordered; of the other options only --send-to goes with it",
        )


def _check_new(new: "NewRenewal", *, by_request: bool) -> None:
    """Refuse a renewal without certificate and names, or account and request. Raises InvalidInputError."""
    if new.certificate is None and not new.names:
        raise InvalidInputError(
            "certificate",
            "say what to renew: --certificate CERTIFICATE, --name NAME for a new one, or RENEWAL",
        )
    if new.account is None and not by_request:
        raise InvalidInputError(
            "account", "say how to renew it: --account ACCOUNT ('certcast account list'), or --by-request"
        )


def _check_unplaced(certificate_id: int | None, *, is_placed: bool) -> None:
    """Refuse options that only a new renewal takes. Raises InvalidInputError."""
    if certificate_id is not None:
        raise InvalidInputError("certificate", "RENEWAL and --certificate exclude each other; leave one out")
    if is_placed:
        raise InvalidInputError(
            "nodes", "--node, --slot and --paused are for a new one; see also 'certcast renewal pause'"
        )


def _change(
    context: typer.Context, number: int, given: dict[str, Any], *, by_request: bool, node_names: bool
) -> bytes:
    """Replace the given terms of a renewal; a change between account and request drops the other terms."""
    from msgspec.structs import replace

    from common.api.renewals import RenewalEdit

    known = _read(ask(context, lambda client: client.get("renewals", str(number))))
    if node_names:
        given = {**given, "names": _names_of_nodes(context, known.certificate)}
    if by_request or (known.account is None and "account" not in given):
        kept = RenewalEdit(send_to=known.send_to)
    elif known.account is None:
        kept = RenewalEdit()
    else:
        kept = RenewalEdit(**{name: getattr(known, name) for name in _ORDERED})
    # an earlier manager has no tag
    body = replace(kept, seen=known.tag, **given)
    return ask(context, lambda client: client.put("renewals", str(number), body=body))


def _add(context: typer.Context, new: "NewRenewal", *, node_names: bool, force: bool) -> bytes:
    """Set up a renewal; one for a stored certificate replaces nothing in a slot, so it needs no confirmation."""
    if node_names:
        from msgspec.structs import replace

        new = replace(new, names=_names_of_nodes(context, new.certificate))
    if new.certificate is not None:
        return ask(context, lambda client: _set_up(client, new))
    return send_confirmed(
        context, new, lambda client, confirmed: client.post("renewals", body=confirmed), force=force
    )


async def _set_up(client: "Client", new: "NewRenewal") -> bytes:
    """Set up a renewal for a certificate; if it has one, say how to change that. Raises CertcastError."""
    try:
        return await client.post("renewals", body=new)
    except ApiRefusedError as error:
        if error.status != CONFLICT:
            raise
        for each in await find_renewals(client):
            if each.certificate == new.certificate:
                raise error.with_hint(
                    f"to change renewal {each.id}: certcast renewal set {each.id}"
                ) from error
        raise


def _names_of_nodes(context: typer.Context, certificate_id: int | None) -> list[str]:
    if certificate_id is None:
        raise InvalidInputError(
            "names", "--node-names needs --certificate with a certificate that nodes have"
        )
    from common.api.renewals import RenewalFields
    from manager.cli.decoding import read

    answer = ask(context, lambda client: client.get("certificates", str(certificate_id), "renewal-fields"))
    return list(read(answer, RenewalFields).names)


def _act(context: typer.Context, number: int, act: str) -> bytes:
    return ask(context, lambda client: client.post("renewals", str(number), act))


def _say(answer: bytes, done: str, *, profile: str = "", is_by_dns: bool = False, json: bool) -> None:
    """Print the result; `profile` is the newly chosen one or "", `is_by_dns` whether a DNS challenge was chosen."""
    present(answer, lambda answer: _say_kept(answer, done, profile, is_by_dns=is_by_dns), json=json)


def _say_kept(answer: bytes, done: str, profile: str, *, is_by_dns: bool) -> None:
    from manager.cli.renewal_tables import renewed, state

    kept, now_s = _read(answer), time.time()
    stands = state(kept, now_s)
    say(f"{done} renewal {kept.id}, of {renewed(kept)}{'' if stands == done.lower() else f'; {stands}'}.")
    # an earlier manager does not say
    if kept.account_registered is False:
        say(
            f"Its account is not registered yet. The first order registers it, but fails if the CA has terms of service that nobody has agreed to. To register it now: certcast account register {kept.account}"
        )
    if profile:
        say(
            f"Whether the CA has the profile '{profile}' shows with the first order. To check it now: certcast renewal test {kept.id}"
        )
    if is_by_dns:
        say(
            f"Whether its names can be proven by DNS shows with the first order. To check it now: certcast renewal test {kept.id}"
        )


def _read(answer: bytes) -> "RenewalAnswer":
    from common.api.renewals import RenewalAnswer
    from manager.cli.decoding import read

    return read(answer, RenewalAnswer)
