"""`make bench`: every measurement, each with what it is compared to in the same run."""

import argparse
import asyncio

from bench import catalogue, channel, fleet, footprint, lists, management, pages, renewal, served
from bench.catalogue import Took
from common.runtime import log as logs


def main() -> None:
    """Run what was asked for, and print."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000, help="simulated nodes (default 1000)")
    parser.add_argument("--connections", type=int, default=500, help="connections per server (default 500)")
    parser.add_argument(
        "--certificates", type=int, default=10_000, help="certificates in the store (default 10000)"
    )
    parser.add_argument(
        "--only",
        choices=[
            "served",
            "fleet",
            "channel",
            "catalogue",
            "management",
            "footprint",
            "renewal",
            "pages",
            "lists",
        ],
        help="one measurement only",
    )
    options = parser.parse_args()
    logs.configure(level="error")
    if options.only in {None, "served"}:
        show_served()
    if options.only in {None, "fleet"}:
        show_fleet(options.nodes)
    if options.only in {None, "channel"}:
        show_channel(options.connections)
    if options.only in {None, "catalogue"}:
        show_catalogue(options.certificates)
    if options.only in {None, "management"}:
        show_management(options.certificates)
    if options.only in {None, "footprint"}:
        show_footprint()
    if options.only in {None, "renewal"}:
        show_renewal()
    if options.only in {None, "pages"}:
        show_pages(options.certificates)
    if options.only in {None, "lists"}:
        show_lists(10 * options.nodes)


def show_served() -> None:
    """Change -> served on three real nodes."""
    found = asyncio.run(served.measure())
    print("change -> served on three real nodes (upload, push, install, reload, seen on the port)")
    print(f"  pushed at once        median {found.manual_s:.3f} s, slowest {found.manual_worst_s:.3f} s")
    print(f"  when things are quiet median {found.quiet_s:.3f} s, of which 0.5 s waits for further changes")
    print(f"  floor: files written, services reloaded and looked at by hand {found.floor_s:.3f} s")
    print(f"  ratio, pushed at once to the floor: {found.manual_s / found.floor_s:.2f}\n")


def show_fleet(count: int) -> None:
    """A push to many simulated nodes."""
    found = asyncio.run(fleet.measure(count))
    print(f"{count} simulated nodes over real SSH, one manager process, SQLite, outcomes on disk")
    print(
        f"  all connected           {found.connect_s:.2f} s ({found.connect_s / count * 1000:.1f} ms a node)"
    )
    print(f"  first bundle, with the trust store  {found.first_s:.2f} s")
    print(
        f"  new certificate on all  {found.push_s:.2f} s, p50 {found.p50_s:.2f} s, p99 {found.p99_s:.2f} s\n"
    )


def show_channel(count: int) -> None:
    """Cost of a connection and of a push, against asyncssh's defaults."""
    ours = asyncio.run(channel.measure("ours", count))
    theirs = asyncio.run(channel.measure("defaults", count))
    print(f"{count} connections, ours against asyncssh's defaults (keys by path, algorithms as they come)")
    for name, unit, scale in (
        ("login_cpu_s", "ms CPU a login", 1000),
        ("memory_bytes", "KiB a connection", 1 / 1024),
        ("push_cpu_s", "ms CPU a push of 10 KB", 1000),
    ):
        mine, other = getattr(ours, name) * scale, getattr(theirs, name) * scale
        print(f"  {unit:24} {mine:8.3f} against {other:8.3f}: ratio {mine / other:.2f}")


def show_pages(count: int) -> None:
    """The pages over a large store, in Debian's Chromium."""
    found = asyncio.run(pages.measure(count))
    print(f"\npages over {found.certificates} certificates and {found.nodes} connected nodes, in Chromium")
    for path, (answered_s, loaded_s) in found.loads.items():
        print(f"  {path:32} answered {answered_s * 1000:5.0f} ms, loaded {loaded_s * 1000:5.0f} ms (medians)")
    print(f"  slowest load of /                {found.worst_s * 1000:5.0f} ms")
    during = found.pushing_loads_s
    print(
        f"  while a trusted CA went to all nodes ({found.push_s:.2f} s), / was loaded {len(during)} times: ",
        end="",
    )
    print(
        f"slowest {max(during, default=0) * 1000:.0f} ms; longest frame of a page that watched {found.longest_frame_s * 1000:.0f} ms"
    )


def show_lists(count: int) -> None:
    """Pages and lists over a large fleet, and over a tenth and a hundredth of it."""
    sizes = (count // 100, count // 10, count)
    found = [asyncio.run(lists.measure(each)) for each in sizes]
    print(
        f"\npages and lists over {count} connected nodes: of a CPU, longest hold of the loop, and to a tenth"
    )
    for name, most in found[-1].items():
        least, less = found[0][name], found[1][name]
        print(
            f"  {name:24} {most.cpu_s * 1000:8.1f} ms, {most.loop_s * 1000:6.1f} ms, {most.size_bytes:11,} bytes; "
            f"{most.cpu_s / less.cpu_s:5.1f} times a tenth's {less.cpu_s * 1000:.1f} ms, a hundredth's {least.cpu_s * 1000:.1f} ms"
        )


def show_catalogue(count: int) -> None:
    """A large store, and one of a tenth."""
    small, large = asyncio.run(catalogue.measure(count // 10)), asyncio.run(catalogue.measure(count))
    print(f"\n{large.certificates} certificates and {large.nodes} nodes in the store, and a tenth of both")
    for name, text in (
        ("page", "a page of 100, searched and ordered, by the API, p95"),
        ("alarms", "statuses, chains and alarms of everything, p95"),
        ("alarms_after_change", "the same after one certificate changed, p95"),
        ("alarms_after_ca", "the same after a trusted CA was added"),
        ("plan", "one change planned and published, p95"),
        ("first_look", "everything read and decoded, once after a start"),
        ("first_chains", "every chain of trust built, once after a start"),
    ):
        show_to_tenth(text, getattr(large, name), getattr(small, name))


def show_management(count: int) -> None:
    """Lists of the management API."""
    small, large = asyncio.run(management.measure(count // 10)), asyncio.run(management.measure(count))
    print(f"\nthe management API's list of 100 of {large.certificates} certificates, and of a tenth, p95")
    for name, text in (
        ("ordered", f"a filter and an order, {large.size_bytes / 1000:.0f} kB"),
        ("found", "one by its exact subject name"),
        ("pattern", "a regular expression and an order"),
    ):
        show_to_tenth(text, getattr(large, name), getattr(small, name))


def show_to_tenth(text: str, more: Took, less: Took) -> None:
    """What took `more`, and `less` with a tenth."""
    print(
        f"  {text:55} {more.wall_s * 1000:8.1f} ms, of a CPU {more.cpu_s * 1000:8.1f} ms, "
        f"{more.cpu_s / less.cpu_s:5.1f} times a tenth's {less.cpu_s * 1000:.1f} ms"
    )


def show_footprint() -> None:
    """What an agent takes on a node."""
    found, mib = asyncio.run(footprint.measure()), footprint.MIB
    print("\nan agent on a node")
    print(
        f"  start until ready       {found.start_s:.2f} s, {found.start_cpu_s:.2f} s CPU; imports it cannot do without "
        f"{found.floor_cpu_s:.2f} s CPU: ratio {found.start_cpu_s / found.floor_cpu_s:.2f}"
    )
    print(
        f"  memory, without manager {found.idle_bytes / mib:.1f} MiB, of which its own {found.idle_private_bytes / mib:.1f} MiB; "
        f"those imports {found.floor_bytes / mib:.1f} MiB: ratio {found.idle_bytes / found.floor_bytes:.2f}"
    )
    print(f"  connected and in sync   {found.connected_bytes / mib:.1f} MiB")
    print(f"  after {footprint.PUSHES} pushes         {found.pushed_bytes / mib:.1f} MiB")
    print(
        f"  CPU of an installation  {found.install_cpu_s * 1000:.1f} ms, and {found.children_cpu_s * 1000:.1f} ms of its commands; its file "
        f"operations alone {found.bare_cpu_s * 1000:.1f} ms: ratio {found.install_cpu_s / found.bare_cpu_s:.1f}"
    )


def show_renewal() -> None:
    """What a manager pays for renewal while nothing is renewed."""
    found, mib = asyncio.run(renewal.measure()), footprint.MIB
    at_rest, loaded = found.at_rest, found.loaded
    print(
        "\na manager in which nothing is renewed, beside one that has loaded what speaks to CAs and DNS servers"
    )
    print(
        f"  until ready             {at_rest.ready_s:.2f} s, {at_rest.cpu_s:.2f} s CPU; {loaded.ready_s:.2f} s, {loaded.cpu_s:.2f} s CPU: ratio "
        f"{at_rest.cpu_s / loaded.cpu_s:.2f}"
    )
    print(
        f"  memory of its own       {at_rest.private_bytes / mib:.1f} MiB; {loaded.private_bytes / mib:.1f} MiB: ratio "
        f"{at_rest.private_bytes / loaded.private_bytes:.2f}"
    )
    print(
        f"  modules of renewal that every manager loads take {100 * found.share:.1f} % of the time of its imports"
    )


if __name__ == "__main__":
    main()
