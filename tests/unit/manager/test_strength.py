import base64
import random
import time

import pytest

from manager.strength import READ_CHARS, STRONG, is_unguessable, strength_of


@pytest.mark.parametrize(
    "text",
    [
        "password1234",
        "Password1234!",
        "P4ssw0rd2024!",
        "passwordpassword",
        "drowssapdrowssap",
        "administrator1",
        "qwertyuiop12",
        "1qaz2wsx3edc",
        "123456789012",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabc",
        "aaaaabbbbbcc",
        "hunter2hunter2",
        "Summer2024!!",
        "certcast-certcast",
        "iloveyou2024",
        "thisismypassword",
        "Welcome12345!",
        "jane.doe1990",
        "p a s s w o r d 1 2 3",
        "p-a-s-s-w-o-r-d-1-2",
        "l_e_t_m_e_i_n_2026",
        "correct horse battery",
        "Correct Horse Battery Staple!",
        "correct-horse-battery-staple",
        "CorrectHorseBatteryStaple1",
    ],
)
def test_what_people_choose_is_weak(text: str):
    assert strength_of(text, ("jane.doe",)) < STRONG


@pytest.mark.parametrize(
    "text",
    [
        "copper horse battery",
        "grün correct horse",
        "a-long-enough-password",
        "Kx7#mQ2$vT9z",
        "K x 7 m Q 2 v T 9 z w P",
    ],
)
def test_some_words_or_random_characters_are_strong(text: str):
    assert strength_of(text) >= STRONG


@pytest.mark.parametrize(
    "text",
    [
        "1q2w3e4r5t6y7u",
        "q1w2e3r4t5y6",
        "zaq1xsw2cde3",
        "24121987#24121987",
        "qwe123asd456",
        "qweasdzxc123",
        "QWEasd123zxc",
    ],
)
def test_a_walk_over_the_keyboard_and_a_birthday_are_weak(text: str):
    assert strength_of(text) < STRONG


@pytest.mark.parametrize(
    "text",
    [
        "112233445566",
        "1122334455667788",
        "111222333444555",
        "aabbccddeeff",
        "010203040506",
        "10203040506070",
        "1a2b3c4d5e6f",
        "a1b2c3d4e5f6",
        "192.168.100.200",
        "00:11:22:33:44:55",
        "zaq12wsxcde34rfv",
        "Tr0ub4dor&3xxx",
    ],
)
def test_repetitions_interleaved_runs_and_addresses_are_weak(text: str):
    assert strength_of(text) < STRONG
    assert not is_unguessable(text)


@pytest.mark.parametrize(
    "text",
    [
        "internationalcommunications",
        "InternationalCommunications",
        "INTERNATIONALCOMMUNICATIONS",
        "supercalifragilisticexpialidocious",
        "tobeornottobethatisthequestion",
        "Donaudampfschifffahrtsgesellschaft",
        "Infrastructure123!",
        "Videokonferenz2026!",
        "Benutzerverwaltung1",
        "Manchester-United-1",
        "Sommer2026!Berlin",
        "19870312-19900101",
    ],
)
def test_what_is_made_of_words_can_be_guessed_though_no_list_here_has_them(text: str):
    assert not is_unguessable(text)


@pytest.mark.parametrize(
    "text", ["copper horse battery staple", "hujxom-8nuVmi-rebbyk", "a-long-enough-password"]
)
def test_several_words_apart_cannot_be_guessed_by_asking(text: str):
    assert is_unguessable(text)


def test_what_a_password_manager_makes_is_not_guessed():
    # always the same ones: of millions, some hold a word by chance
    chance = random.Random(1)
    made = [base64.urlsafe_b64encode(chance.randbytes(18)).decode() for _ in range(200)]
    assert all(map(is_unguessable, made))


def test_a_name_that_guessers_know_counts_for_little():
    assert strength_of("wolfeschlegelstein", ("wolfeschlegelstein",)) < 5 < strength_of("wolfeschlegelstein")


def test_no_text_takes_long_to_judge():
    leet = "4@8({[<369!1|0$5+7%2"
    ordinary = time.perf_counter()
    for _ in range(10):
        strength_of("copper horse battery")
    ordinary = (time.perf_counter() - ordinary) / 10
    for text in ("a" * 1000, "ab" * 500, leet * 50, "password" * 100, "\u0130" * 1000, "\ud800" * 50):
        started = time.perf_counter()
        strength_of(text)
        assert time.perf_counter() - started < 200 * ordinary
    assert strength_of("x" * 10_000) == strength_of("x" * READ_CHARS)
