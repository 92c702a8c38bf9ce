import pytest

from common.text import HIDDEN

CHAIN = {
    "id": 4,
    "kind": "chain_incomplete",
    "name": "TLS certificate has an incomplete chain of trust",
    "level": "error",
    "label": "a.example.com (certificate 7)",
    "details": "The chain of trust is incomplete: issuer CN=Root not found.",
    "raised_at_s": 1000.0,
    "lowered_at_s": None,
    "acknowledged_at_s": None,
    "acknowledged_by": None,
}
SEEN = CHAIN | {"id": 5, "acknowledged_at_s": 1001.0, "acknowledged_by": "bert"}
SILENCE = CHAIN | {"id": 0, "kind": "evaluation_silent"}


def test_alarms_say_what_is_wrong_with_what_and_who_saw_it(api, run):
    api.answer("GET", "alarms", {"alarms": [CHAIN, SEEN]})
    shown = run("alarm", "list").stdout
    for text in (CHAIN["name"], CHAIN["label"], CHAIN["details"], "error", "ago", "bert"):
        assert text in shown
    assert HIDDEN not in shown
    api.answer("GET", "alarms", {"alarms": []})
    assert run("alarm", "list").stdout == "No alarms.\n"


@pytest.mark.parametrize(
    ("arguments", "ids"),
    [(["4", "5"], [4, 5]), (["--all"], [4])],
)
def test_alarms_are_acknowledged_by_number_or_all_that_nobody_has_seen(api, run, arguments, ids):
    api.answer("GET", "alarms", {"alarms": [SILENCE, CHAIN, SEEN]})
    api.answer("POST", "alarms/acknowledge", "", status=204)
    done = run("alarm", "acknowledge", *arguments)
    assert done.stdout == f"Acknowledged {', '.join(map(str, ids))}.\n"
    assert api.asked[-1] == ("POST", "alarms/acknowledge", {"ids": ids})
    assert run("alarm", "acknowledge", *arguments, "--json").stdout.replace(" ", "") == (
        f'{{"acknowledged":{ids}}}\n'.replace(" ", "")
    )


def test_all_alarms_of_a_node_are_acknowledged_by_its_name(api, run):
    of_node = [CHAIN | {"id": number, "node": "conf1"} for number in (8, 9)]
    api.answer("GET", "alarms", {"alarms": [SILENCE, CHAIN, *of_node]})
    api.answer("POST", "alarms/acknowledge", "", status=204)
    assert run("alarm", "acknowledge", "conf1", "4", "9").stdout == "Acknowledged 8, 9, 4.\n"
    done = run("alarm", "acknowledge", "4", "conf2")
    assert done.exit_code == 2
    assert "no active alarm has the number 'conf2', or concerns a node of that name" in done.stderr
    assert "certcast alarm list" in done.stderr
    assert api.asked[-1][0] == "GET"


def test_alarms_of_a_certificate_are_acknowledged_by_the_name_of_a_node_that_has_it(api, run):
    api.answer(
        "GET", "alarms", {"alarms": [CHAIN | {"nodes": ["conf1", "conf2"]}, SEEN | {"nodes": ["conf3"]}]}
    )
    api.answer("POST", "alarms/acknowledge", "", status=204)
    assert run("alarm", "acknowledge", "conf2").stdout == "Acknowledged 4.\n"
    assert api.asked[-1] == ("POST", "alarms/acknowledge", {"ids": [4]})


def test_acknowledging_needs_numbers_or_all_and_nothing_to_acknowledge_is_no_failure(api, run):
    assert run("alarm", "acknowledge").exit_code == 2
    assert run("alarm", "acknowledge", "4", "--all").exit_code == 2
    assert not api.asked
    api.answer("GET", "alarms", {"alarms": [SEEN]})
    assert run("alarm", "acknowledge", "--all").stdout == "There was nothing to acknowledge.\n"
    assert len(api.asked) == 1


def test_alarms_that_have_ended_are_listed(api, run):
    api.answer("GET", "alarms/history?limit=20", {"alarms": [SEEN | {"lowered_at_s": 2000.0}]})
    shown = run("alarm", "history", "--limit", "20").stdout
    for text in (CHAIN["label"], "bert", "lowered"):
        assert text in shown
