"""A services file that others could change is not used."""

import errno
import os

import pytest

from common.errors import CertcastError
from common.runtime import trusted
from nodeagent.core.servicesfile import ServicesError
from nodeagent.settings import load_services, real_directory
from tests.attacks.root_writes.conftest import SERVICE

pytestmark = pytest.mark.timeout(120)


def test_a_services_file_that_somebody_else_could_change_is_not_used(tmp_path):
    place = tmp_path / "etc"
    place.mkdir()
    file = place / "services.toml"
    file.write_text("")
    load_services(file)
    for path in (file, place):
        mode = path.stat().st_mode
        path.chmod(mode | 0o020)
        with pytest.raises(ServicesError) as caught:
            load_services(file)
        assert f"{path} can be written by group" in caught.value.message
        path.chmod(mode)
    load_services(file)


@pytest.mark.services("root")
@pytest.mark.parametrize("which", ["file", "directory", "link", "directory of the link"])
def test_a_services_file_of_somebody_else_is_not_used(tmp_path, which):
    real, place = tmp_path / "real.toml", tmp_path / "etc"
    real.write_text("")
    place.mkdir()
    link = place / "services.toml"
    link.symlink_to(real)
    load_services(link)
    theirs = {"file": real, "directory": tmp_path, "link": link, "directory of the link": place}[which]
    os.chown(theirs, SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    with pytest.raises(ServicesError, match="belongs to nobody"):
        load_services(link)


@pytest.mark.services("root")
def test_a_link_of_roots_on_the_way_to_the_data_directory_counts_and_anybody_elses_does_not(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "data"
    link.symlink_to(tmp_path / "real")
    assert real_directory(link / "nodeagent") == tmp_path / "real/nodeagent"
    os.chown(link, SERVICE.pw_uid, SERVICE.pw_gid, follow_symlinks=False)
    with pytest.raises(CertcastError, match="belongs to nobody"):
        real_directory(link / "nodeagent")


def test_links_that_lead_in_a_circle_are_refused(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to("a/../a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        trusted.resolve(tmp_path / "a/x")
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_what_to_do_about_a_mode_can_be_typed_as_it_stands(tmp_path, kind):
    theirs = tmp_path / "a b"
    (theirs.mkdir if kind == "directory" else theirs.touch)()
    theirs.chmod(0o777)
    with pytest.raises(trusted.UntrustedPathError) as caught:
        trusted.check_unchangeable(theirs)
    assert f"; run: chmod go-w '{theirs}', or choose another {kind}" in caught.value.strerror
