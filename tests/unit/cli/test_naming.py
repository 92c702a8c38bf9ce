"""Names where the manager has numbers."""

import pytest

TEMPORARY = {"status": "Temporary", "statuses": [{"code": "temporary", "text": "Temporary"}]}


def entry(number: int, name: str, fingerprint: str, *names: str, **more) -> dict:
    return {
        "id": number,
        "subject_name": name,
        "raw_subject": f"CN={name}",
        "subject_alt_names": list(names or (name,)),
        "fingerprint": fingerprint * 16,
        "not_after_s": 4102444800,
        **more,
    }


ONE = entry(3, "a.example.com", "abcd", "a.example.com", "www.example.com")
TWO = entry(7, "b.example.com", "abce")


def listed(api, wanted: str, *found: dict) -> None:
    answer = {"certificates": list(found), "total": len(found)}
    api.answer("GET", f"certificates?search={wanted}&limit=1000", answer)


@pytest.mark.parametrize("wanted", ["a.example.com", "A.Example.COM", "www.example.com", "CN=a.example.com"])
def test_a_whole_name_names_a_certificate(api, run, wanted):
    listed(api, wanted.replace("=", "%3D"), ONE, entry(8, "aa.example.com", "1111"))
    api.answer("GET", "certificates/3", ONE)
    done = run("certificate", "show", wanted, "--json")
    assert done.exit_code == 0, done.stderr
    assert api.asked[-1][1] == "certificates/3"


@pytest.mark.parametrize("wanted", ["abcda", "AB:CD:AB"])
def test_a_fingerprint_may_be_shortened_and_have_colons(api, run, wanted):
    listed(api, wanted.replace(":", ""), ONE)
    api.answer("GET", "certificates/3", ONE)
    assert run("cert", "show", wanted, "--json").exit_code == 0


def test_a_number_is_a_number_and_nobody_is_asked_what_it_means(api, run):
    api.answer("GET", "certificates/3", ONE)
    assert run("certificate", "show", "3", "--json").exit_code == 0
    assert len(api.asked) == 1


def test_words_that_name_several_choose_none_and_tell_all(api, run):
    other = entry(9, "a.example.com", "beef")
    listed(api, "a.example.com", ONE, other)
    done = run("certificate", "delete", "a.example.com", "--force")
    assert done.exit_code == 2
    assert "2 certificates are called 'a.example.com', say which: " in done.stderr
    assert "3 (a.example.com, expires 2100-01-01, abcdabcd)" in done.stderr
    assert "9 (a.example.com, expires 2100-01-01, beefbeef)" in done.stderr
    assert [method for method, _, _ in api.asked] == ["GET"]


def test_a_nodes_temporary_certificate_does_not_stand_in_the_way_of_its_real_one(api, run):
    listed(api, "a.example.com", entry(2, "a.example.com", "0000", **TEMPORARY), ONE)
    api.answer("GET", "certificates/3", ONE)
    assert run("certificate", "show", "a.example.com", "--json").exit_code == 0


def test_a_part_of_a_name_is_not_enough(api, run):
    listed(api, "example", ONE, TWO)
    done = run("certificate", "show", "example")
    assert done.exit_code == 2
    assert "no certificate is called 'example'" in done.stderr


def test_several_are_named_one_by_one(api, run):
    listed(api, "a.example.com", ONE)
    api.answer("POST", "certificates/delete", {"nodes": []})
    done = run("certificate", "delete", "a.example.com", "7", "--force")
    assert done.exit_code == 0, done.stderr
    assert ("POST", "certificates/delete", {"ids": [3, 7], "force": True}) in api.asked


def test_a_ca_and_a_request_are_named_too(api, run):
    api.answer("GET", "trusted-cas", {"trusted_cas": [entry(4, "Root", "cafe")]})
    api.answer("GET", "trusted-cas/4", entry(4, "Root", "cafe"))
    assert run("ca", "show", "root", "--json").exit_code == 0
    api.answer("GET", "requests", {"requests": [{"id": 5, "subject_alt_names": ["a.example.com"]}]})
    api.answer("GET", "requests/5", {"id": 5})
    assert run("csr", "show", "a.example.com", "--json").exit_code == 0


def test_an_empty_word_names_nothing(run, api):
    assert run("certificate", "show", " ").exit_code == 2
    assert not api.asked
