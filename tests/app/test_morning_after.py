"""The morning after with the real backbone: two voices write, the answers decide."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.learning import personalize
from app.morning import due_review, make_question, questions_so_far, settle
from app.tastes import FIRST_PERSON, share
from app.wiring import open_penpal

PROMPTS = ("Thank Ann for the cake.", "Ask about the heating.", "Invite Bo to dinner.", "Tell Cy we meet on Monday.")


@pytest.mark.slow
def test_two_voices_write_from_the_same_dice_and_the_old_one_comes_back(
    penpal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENPAL_DRAFTS__MAX_TOKENS", "16")
    penpal = open_penpal()
    writer = penpal.writer()
    for number, prompt in enumerate(PROMPTS):
        drafts = writer.propose(prompt, seed=number).run()
        writer.recorder.pick(max(drafts, key=lambda draft: share(FIRST_PERSON)(draft.text)).id)
    personalize(penpal, force=True, drafts=False)
    review = due_review(penpal.store, penpal.home)
    assert review is not None
    assert [turn.prompt for turn in review.prompts] == list(reversed(PROMPTS))
    for asked in review.prompts[:2]:
        question = make_question(penpal, review, asked)
        assert question is not None
        assert {draft.encoder_id for draft in question.drafts} == {review.new.id, None}
        assert question.drafts[0].seed == question.drafts[1].seed
        writer.recorder.pick(next(draft.id for draft in question.drafts if draft.encoder_id is None))
    assert len(questions_so_far(penpal.store, review)) == 2
    said, preferences = settle(penpal.store, penpal.home, review)
    assert (said, preferences) == ("rolled back", ["old", "old"])
    assert penpal.store.active_encoder() is None
    assert due_review(penpal.store, penpal.home) is None
    penpal.close()
