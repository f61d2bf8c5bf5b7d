"""Which kind of writing a prompt names."""

from __future__ import annotations

import pytest

from core.contexts import OTHER, clean_tag, context_of
from core.errors import UsageError


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("Write an e-mail to my landlord.", "mail"),
        ("Draft a LETTER of thanks.", "mail"),
        ("Reply to this mail: Dear Ann, ...", "reply"),
        ("Answer his email kindly.", "reply"),
        ("Send a text message to my sister.", "message"),
        ("Write a short message for the team.", "message"),
        ("Announce it in a post.", "post"),
        ("Write a review of the new café.", "review"),
        ("Summarise the text below.", "rewriting"),
        ("Leave a note for the neighbours.", "note"),
        ("Two poems about rain, please.", "story"),
        ("Thank my sister for the cake.", OTHER),
        ("", OTHER),
    ],
)
def test_the_kind_is_the_one_that_the_prompt_names(prompt: str, kind: str) -> None:
    assert context_of(prompt) == kind


def test_the_kind_that_is_named_first_counts() -> None:
    assert context_of("Write a poem about a letter.") == "story"
    assert context_of("Write a letter about a poem.") == "mail"


def test_a_word_inside_another_one_is_no_kind() -> None:
    assert context_of("Describe the notebook, the storyline and the postman's mailbox.") == OTHER


def test_of_a_long_prompt_only_the_start_is_read() -> None:
    assert context_of("Make this nicer: " + "word " * 100 + "mail") == OTHER


@pytest.mark.parametrize(
    ("tag", "clean"), [(None, None), ("", None), ("  ", None), (" Mail ", "mail"), ("My  Club", "my club")]
)
def test_a_tag_is_the_same_however_it_is_typed(tag: str | None, clean: str | None) -> None:
    assert clean_tag(tag) == clean


@pytest.mark.parametrize("tag", ["büro", "a/b", "x" * 33, "mail\x00"])
def test_a_tag_that_could_not_name_a_part_of_a_file_is_refused(tag: str) -> None:
    with pytest.raises(UsageError, match="cannot name a kind of writing"):
        clean_tag(tag)
