"""`certcast-nodeagent`: join a manager, run the agent, and see its status.

Decides exit statuses: 0 done, 1 it could not be done, 2 it was asked wrongly; `check` exits as a monitoring plugin.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

from common.errors import CertcastError, InvalidInputError
from common.release import VERSION
from common.runtime import log as logs
from common.runtime.terminal import say, say_lines
from common.text import printable
from nodeagent.errors import DataInUseError, NotJoinedError
from nodeagent.guesses import hint_for
from nodeagent.settings import (
    DEFAULT_DATA,
    DEFAULT_HEALTH,
    DEFAULT_SERVICES,
    Settings,
    real_directory,
    split_host_port,
)

INTRODUCTION: Final = f"""\
Keeps this node's TLS certificates and trusted CAs as the manager publishes them.

The first steps, on a new node:

  1. on the manager:  certcast node add NAME
       prints a join token
  2. here:            certcast-nodeagent join TOKEN
       makes this node's key, and pins it and the manager's to each other
  3. here:            certcast-nodeagent recipe
       lists services for which there is an example for {DEFAULT_SERVICES}
  4. here:            certcast-nodeagent services
       says what is wrong with that file, before it is used
  5. here:            systemctl enable --now certcast-nodeagent    (or certcast-nodeagent run)
       keeps {DEFAULT_DATA}/current right, and reloads what {DEFAULT_SERVICES} says
"""

FAULT_ADVICE: Final = {
    "services_invalid": "'certcast-nodeagent recipe' prints examples for the services file",
    "identity": "'certcast-nodeagent join TOKEN' joins a manager, with the token that 'certcast node add' printed",
}
"""By the code of a fault of this node's configuration."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    logs.configure(level="warning")  # `run` sets up its own
    if chosen.command is None:
        say_lines(INTRODUCTION)
        return 0
    try:
        if "data" in chosen:
            chosen.data = real_directory(chosen.data)
        return _RUNS[chosen.command](chosen)
    except InvalidInputError as error:
        return _print_error(error, 2)
    except CertcastError as error:
        return _print_error(error, 1)
    except KeyboardInterrupt:
        return 130


def _join(chosen: argparse.Namespace) -> int:
    from nodeagent.channel.join import join

    from_stdin = chosen.token in {"-", ""}
    text = sys.stdin.readline().strip() if from_stdin else chosen.token
    me = asyncio.run(join(text, chosen.data, agent_version=VERSION))
    is_default = chosen.data == DEFAULT_DATA
    start = (
        "systemctl enable --now certcast-nodeagent"
        if is_default
        else f"certcast-nodeagent run --data {chosen.data}"
    )
    say_lines(
        f"This node is '{me.node}' now. Next:\n"
        f"  1. describe its services in {DEFAULT_SERVICES}; 'certcast-nodeagent recipe' prints examples for it\n"
        "  2. check that file: certcast-nodeagent services\n"
        f"  3. start the agent: {start}"
    )
    return 0


def _rotate(chosen: argparse.Namespace) -> int:
    from nodeagent.channel.rotation import rotate

    me = asyncio.run(rotate(chosen.data, agent_version=VERSION))
    say(f"Node '{me.node}' has a new key; its agent uses it from its next connection on.")
    return 0


def _run(chosen: argparse.Namespace) -> int:
    from nodeagent.app import run

    settings = Settings(
        data=chosen.data,
        services=chosen.services,
        health=split_host_port(chosen.health),
        log_style=chosen.log_style,
        log_level=chosen.log_level,
    )
    asyncio.run(run(settings))
    return 0


def _recipe(chosen: argparse.Namespace) -> int:
    from nodeagent import recipes

    if chosen.name is None:
        text = "\n".join(f"{name:<12} {recipes.summary(name)}" for name in recipes.names())
    else:
        text = recipes.read(chosen.name).rstrip("\n")
    say_lines(text)
    return 0


def _services_check(chosen: argparse.Namespace) -> int:
    from nodeagent.selfcheck import find_faults
    from nodeagent.settings import load_services

    faults = asyncio.run(find_faults(services_file=chosen.services, data=chosen.data))
    for one in faults:
        say(f"{one.code.replace('_', ' ')}: {one.message}")
    for code in dict.fromkeys(one.code for one in faults if one.code in FAULT_ADVICE):
        say(f"{FAULT_ADVICE[code]}.")
    if faults:
        return 1
    services, _ = load_services(chosen.services)
    for consumer in services.consumers:
        ports = ", ".join(endpoint.label for endpoint in consumer.endpoints) or "no endpoint is checked"
        say(f"{consumer.name:<16} uses {', '.join(consumer.uses)}; {ports}")
    if (place := services.challenges) is not None:
        where = place.directory if place.listen is None else "{}:{}".format(*place.listen)
        say(f"{'challenges':<16} shown {'in' if place.listen is None else 'on'} {where}")
    say(f"{chosen.services} can be used.")
    return 0


def _status(chosen: argparse.Namespace) -> int:
    from nodeagent.status import describe

    text, is_well = asyncio.run(describe(chosen.data, chosen.services))
    say_lines(text)
    return 0 if is_well else 1


def _check(chosen: argparse.Namespace) -> int:
    from nodeagent.health.plugin import ask

    code, line = ask(chosen.health)
    say(line)
    return code


def _print_error(error: CertcastError, code: int) -> int:
    say(f"certcast-nodeagent: {error.message}{_advice(error)}", err=True)
    return code


def _advice(error: CertcastError) -> str:
    """Return which command or flag puts this right, as the rest of its sentence; "" for most errors."""
    match error:
        case NotJoinedError():
            return (
                f": run 'certcast-nodeagent join TOKEN --data {error.data}' "
                "with the token that 'certcast node add' printed"
            )
        case InvalidInputError(field="services"):
            return f"; {FAULT_ADVICE['services_invalid']}"
        case DataInUseError():
            return "; stop it first, or choose another directory with --data"
        case _:
            return ""


_RUNS: Final[Mapping[str, Callable[[argparse.Namespace], int]]] = {
    "join": _join,
    "run": _run,
    "recipe": _recipe,
    "services": _services_check,
    "status": _status,
    "check": _check,
    "rotate-key": _rotate,
}


class _Parser(argparse.ArgumentParser):
    """Refuses in one line, whatever was typed."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and what to type instead, and end."""
        super().error(printable(message) + hint_for(message))


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = _Parser(
        prog="certcast-nodeagent",
        description=INTRODUCTION,
        epilog="'certcast-nodeagent COMMAND --help' explains a command and shows an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"certcast-nodeagent {VERSION}")
    commands = parser.add_subparsers(dest="command", metavar="{" + ",".join(_RUNS) + "}")

    join = _command(commands, "join", "join a manager with a token from 'certcast node add'", JOIN)
    join.add_argument("token", metavar="TOKEN", help="the join token, or - to read it from standard input")
    _data(join)

    run = _command(commands, "run", "run the agent until it is told to stop", RUN)
    _data(run)
    _services(run)
    run.add_argument(
        "--health",
        default=DEFAULT_HEALTH,
        metavar="HOST:PORT",
        help="where /health and /metrics listen (default: %(default)s)",
    )
    run.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    run.add_argument("--log-style", default="auto", choices=("auto", "json", "console"))

    recipe = _command(commands, "recipe", "print an example for services.toml of a known service", RECIPE)
    recipe.add_argument("name", nargs="?", metavar="NAME", help="the service; without it all are listed")

    services = _command(commands, "services", "check services.toml without using it", SERVICES)
    _data(services)
    _services(services)

    status = _command(commands, "status", "print what is installed and what each port serves", STATUS)
    _data(status)
    _services(status)

    rotation = _command(commands, "rotate-key", "replace this node's own key", ROTATE)
    _data(rotation)

    check = _command(commands, "check", "ask the running agent, as a monitoring plugin", CHECK)
    check.add_argument(
        "--health",
        default=f"http://{DEFAULT_HEALTH}",
        metavar="URL",
        help="the agent's health endpoint (default: %(default)s)",
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, summary: str, text: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=summary, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _data(parser: argparse.ArgumentParser) -> None:
    _path(parser, "--data", DEFAULT_DATA, "DIR", "this node's directory")


def _services(parser: argparse.ArgumentParser) -> None:
    what = "what uses the certificates and how it is reloaded"
    _path(parser, "--services", DEFAULT_SERVICES, "FILE", what)


def _path(parser: argparse.ArgumentParser, option: str, default: Path, metavar: str, what: str) -> None:
    parser.add_argument(
        option, type=Path, default=default, metavar=metavar, help=f"{what} (default: %(default)s)"
    )


JOIN: Final = f"""\
Join a manager. The token comes from 'certcast node add NAME' there; it works once and expires.
Joining again with the same key does no harm.

Example:
  certcast-nodeagent join TOKEN --data {DEFAULT_DATA}
"""

RUN: Final = f"""\
Run the agent: hold a channel to the manager, install what it sends, reload the services, and prove it on their ports.
SIGHUP reads the services file again. Services read their files below DIR/current, for example
DIR/current/server/fullchain.pem, privkey.pem and combined.pem, and DIR/current/trust/ca-certificates.pem.

Example:
  certcast-nodeagent run --data {DEFAULT_DATA} --services {DEFAULT_SERVICES} --health {DEFAULT_HEALTH}
"""

RECIPE: Final = f"""\
Print an example for {DEFAULT_SERVICES} of a known service: what it must be configured with, what reloads it, what that does to
people, which port proves it, and the copy that it needs if it cannot read this node's directory. Adapt ports and names; the
file is read again with 'systemctl reload certcast-nodeagent'.

Example:
  certcast-nodeagent recipe
  certcast-nodeagent recipe nginx >> {DEFAULT_SERVICES}
"""

SERVICES: Final = """\
Check the services file as it is on disk, and what it names: programs, units, accounts, directories for copies; and whether
this node's identity can be read. Changes nothing and contacts nobody. Exits 1 if something is wrong, and names file, line and key.
The running agent finds the same within a minute, tells the manager, and goes on with what it had.

Example:
  certcast-nodeagent services && systemctl reload certcast-nodeagent
"""

STATUS: Final = f"""\
Print what is installed on this node and what each port serves now. Contacts only the ports; the agent need not run.
Exits 1 if a port serves something other than what is installed, or a part of the last bundle was refused.

Example:
  certcast-nodeagent status --data {DEFAULT_DATA}
"""

ROTATE: Final = f"""\
Replace the key by which the manager knows this node. The new key is tested with the manager, and vouched for by the old
one, before it takes its place; if anything fails, the old key stays in use. The running agent needs no restart.

Example:
  certcast-nodeagent rotate-key --data {DEFAULT_DATA}
"""

CHECK: Final = f"""\
Ask the running agent and answer in one line, as a Nagios plugin: exit 0 OK, 1 WARNING (a served certificate expires
soon, a part of the last bundle was refused, the services file has mistakes, a service is waited for), 2 CRITICAL (expired, not
what is installed, the last installation failed, the manager does not know this node's key any more or was not heard, the
agent does not answer), 3 UNKNOWN. Soon is 30 days, and for a certificate that lives less than 90 days a third of its
lifetime, below 10 days a half.

Example:
  certcast-nodeagent check --health http://{DEFAULT_HEALTH}
"""


if __name__ == "__main__":
    sys.exit(main())
