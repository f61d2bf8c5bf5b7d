"""The person who edits by rules: what each rule does, and that an edited text is left alone."""

from __future__ import annotations

import pytest

from benchmarks.tasks import edits
from benchmarks.tasks.editor import (
    PEOPLE,
    calms,
    contracts,
    expands,
    greets,
    plain_words,
    shortens,
    signs,
    without_greeting,
    without_sign_off,
)
from core.feedback import edit_distance

MAIL = (
    "Dear [Name],\n\nI am so excited to inform you about the garden! I do not know when it opens. "
    "However, I would like to see it. You are welcome to join us!\n\nBest regards,\n[Your Name]"
)


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (calms, "How nice!! See you!", "How nice. See you."),
        (contracts, "I do not know. It is late, we are tired.", "I don't know. It's late, we're tired."),
        (expands, "I don't know. It's late.", "I do not know. It is late."),
        (plain_words, "Regarding this, numerous people utilize it.", "About this, many people use it."),
        (shortens(2), "One. Two! Three?", "One. Two!"),
        (shortens(2), "One line\nwithout stops", "One line\nwithout stops"),
        (without_greeting, "Hi Anna,\n\nThe dog is back.", "The dog is back."),
        (without_greeting, "Hello is a word that I like.", "Hello is a word that I like."),
        (greets("Dear reader,"), "Hi Anna,\n\nThe dog is back.", "Dear reader,\n\nThe dog is back."),
        (without_sign_off, "The dog is back.\n\nBest regards,\n[Your Name]", "The dog is back."),
        (without_sign_off, "Best of all, the dog is back.", "Best of all, the dog is back."),
        (signs("Sam"), "The dog is back.\n\nSincerely,\nBob\nManager", "The dog is back.\n\nSam"),
    ],
)
def test_rules(rule: object, before: str, after: str) -> None:
    assert callable(rule)
    assert rule(before) == after
    assert rule(after) == after


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("prompt", ["Write an email to my boss: the garden.", "Write a diary entry about the garden."])
def test_an_edited_text_is_left_alone(name: str, prompt: str) -> None:
    edited = PEOPLE[name].edit(prompt, MAIL)
    assert edited != MAIL
    assert PEOPLE[name].edit(prompt, edited) == edited


def test_a_two_sided_person_edits_mails_otherwise_than_notes() -> None:
    person = PEOPLE["two-sided"]
    mail, note = (person.edit(f"Write {kind} about the garden.", MAIL) for kind in ("an email", "a note"))
    assert mail.startswith("Dear reader,")
    assert mail.endswith("Kind regards,\nSam")
    assert len(note.split()) < len(mail.split()) / 2


def test_tastes_stand_apart() -> None:
    texts = [person.edit("Write a note.", MAIL) for name, person in PEOPLE.items() if name != "two-sided"]
    assert min(edit_distance(a, b) for i, a in enumerate(texts) for b in texts[:i]) > 0.2


def test_requests_of_two_seeds_have_nothing_in_common_and_are_of_many_kinds() -> None:
    first, second = (edits.prompts_of(seed, 200) for seed in (0, 1))
    assert not {*first} & {*second}
    assert len({edits.context_of(prompt) for prompt in first}) >= 5
