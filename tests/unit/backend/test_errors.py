import pytest

from netra_sim.backend.errors import CATALOGUE, PlatformError

CLOSES = {0, 1000, 1011, 1012, 1013, 4401, 4402, 4403, 4408, 4413, 4429}


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_says_what_happened_and_what_to_do(code: str):
    entry = CATALOGUE[code]
    assert code == code.lower()
    assert 400 <= entry.status < 600
    assert entry.close in CLOSES
    for text in (entry.sentence, entry.remedy):
        assert text.endswith(".")
        assert text[0].isupper()


@pytest.mark.parametrize("code", CATALOGUE)
def test_a_problem_has_all_members_of_the_standard(code: str):
    problem = PlatformError(code).problem("request-1")
    entry = CATALOGUE[code]
    assert problem.keys() >= {"type", "title", "status", "code", "detail", "remedy", "request_id"}
    assert (problem["status"], problem["code"], problem["request_id"]) == (entry.status, code, "request-1")
    assert problem["remedy"] == entry.remedy
    assert code in problem["type"] or problem["type"] == "about:blank"


def test_facts_are_members_and_detail_is_the_more_exact_sentence():
    problem = PlatformError("bad_request", field="email", detail="email: is missing").problem("r")
    assert (problem["field"], problem["detail"]) == ("email", "email: is missing")


def test_its_text_is_for_the_log():
    assert str(PlatformError("no_token")) == "no_token: You are not signed in."
    assert "field" in str(PlatformError("bad_request", field="email"))
