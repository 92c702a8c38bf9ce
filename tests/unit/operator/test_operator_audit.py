import pytest

HEAD = "5f" * 32


def test_the_audit_log_is_a_table_and_nothing_in_it_is_markup(api, run):
    entry = {"id": 1, "at_s": 0, "actor": "[red]anna", "action": "node.added", "subject": "node c\x1b[2J"}
    api.answer("GET", "audit?limit=100", {"entries": [entry | {"detail": '{"names": []}', "chain": "0"}]})
    shown = run("audit").stdout
    assert "[red]anna" in shown
    assert '{"names": []}' in shown
    assert "\x1b" not in shown


def test_what_came_before_is_asked_for_by_the_id_that_is_shown(api, run):
    api.answer("GET", "audit?limit=2", {"entries": [], "next_before": 41})
    api.answer("GET", "audit?limit=100&before=41", {"entries": [], "next_before": None})
    assert "certcast audit --before 41" in run("audit", "--limit", "2").stderr
    done = run("audit", "--before", "41")
    assert (done.exit_code, done.stderr) == (0, "")


def verified(**changes):
    return {"broken_at": None, "count": 7, "head": HEAD, "noted": True} | changes


def test_a_whole_log_is_told_with_the_hash_to_note(api, run):
    api.answer("GET", "audit/verify", verified())
    done = run("audit", "verify")
    assert done.exit_code == 0
    assert "All 7 acts are whole" in done.stdout
    assert HEAD in done.stdout


@pytest.mark.parametrize(
    ("changes", "text"), [({"broken_at": 8}, "act 8 was altered"), ({"noted": False}, "was made anew")]
)
def test_a_log_that_is_not_what_it_was_is_exit_status_1(api, run, changes, text):
    api.answer("GET", "audit/verify?noted=abc", verified(**changes))
    done = run("audit", "verify", "--noted", "abc")
    assert (done.exit_code, text in done.stdout) == (1, True)
    assert run("audit", "verify", "--noted", "abc", "--json").exit_code == 1
