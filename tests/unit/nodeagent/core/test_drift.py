from dataclasses import replace

import pytest

from common.bundle.manifest import canonical
from common.ids import digest_of
from nodeagent.core.drift import Drift, Listing, Ownership, Seen, damaged_paths, disk_digest, find_drift
from tests.bundles import opaque_bundle

MANIFEST = opaque_bundle().manifest
OWNERS = Ownership(uid=0, gid=0, secret_gid=7, secret_mode=0o640)
NAME = "1-000001"


def seen(path: str, digest: str | None, mode: int, gid: int = 0) -> Seen:
    return Seen(path=path, digest=digest, mode=mode, uid=0, gid=gid)


def listing() -> Listing:
    files = [seen(path, None, 0o755) for path in (".", "server", "trust")]
    files.append(seen("manifest.json", digest_of(canonical(MANIFEST)), 0o644))
    files += [
        seen(entry.path, entry.digest, 0o640 if entry.secret else 0o644, 7 if entry.secret else 0)
        for entry in MANIFEST.entries
    ]
    return Listing(link=NAME, files=tuple(files))


def changed(path: str, **what) -> Listing:
    files = tuple(replace(one, **what) if one.path == path else one for one in listing().files)
    return Listing(link=NAME, files=files)


def find(found: Listing) -> tuple[Drift, ...]:
    return find_drift(found, MANIFEST, directory=NAME, owners=OWNERS)


def test_what_was_installed_has_not_drifted():
    assert find(listing()) == ()
    assert disk_digest(listing(), MANIFEST, ()) == MANIFEST.digest


@pytest.mark.parametrize(
    ("path", "what", "drift"),
    [
        ("server/privkey.pem", {"mode": 0o644}, "mode"),
        ("server/privkey.pem", {"gid": 0}, "owner"),
        ("server/chain.pem", {"uid": 5}, "owner"),
        ("server/chain.pem", {"digest": digest_of(b"other")}, "content"),
        ("server/chain.pem", {"digest": None}, "content"),
        ("manifest.json", {"digest": ""}, "content"),
        ("server", {"mode": 0o777}, "mode"),
        (".", {"mode": 0o700}, "mode"),
        ("trust", {"digest": ""}, "content"),
    ],
)
def test_each_change_is_found_and_changes_the_reported_digest(path, what, drift):
    found = changed(path, **what)
    assert find(found) == (Drift(drift, path),)
    assert disk_digest(found, MANIFEST, find(found)) != MANIFEST.digest


def test_a_link_elsewhere_missing_and_extra_files_are_found():
    files = tuple(one for one in listing().files if one.path != "server/chain.pem")
    extra = seen("server/extra", digest_of(b""), 0o644)
    found = find(Listing(link=None, files=(*files, extra)))

    assert found == (
        Drift("link", "current"),
        Drift("missing", "server/chain.pem"),
        Drift("extra", "server/extra"),
    )
    assert damaged_paths(found) == {"server/chain.pem"}
