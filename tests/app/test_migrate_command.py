"""A voice of another latent space waits without being in the way, and `penpal encoder migrate` takes it along."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.protocols import Message
from core.store import EncoderRecord, Store
from models.migrate import Anchor
from models.text_vectors import text_key
from tests.app import conftest
from tests.app.conftest import BACKBONE_ID, CLAP_ID, LATENT_SIZE, Result, answer, learned, picks
from tests.scripted_text_encoder import ScriptedTextEncoder

Run = Callable[..., Result]
OLD_CLAP = "e" * 64
OLD_BACKBONE = "d" * 64


@pytest.fixture
def left_behind(penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch) -> EncoderRecord:
    """A voice of the latent space before this one, in use."""
    record = of_before(penpal_home, monkeypatch)
    Store(penpal_home / "penpal.db").activate_encoder(record.id, "chosen by hand")
    return record


def of_before(
    home: Path, monkeypatch: pytest.MonkeyPatch, lean: float = 2.0, *, backbone_id: str = BACKBONE_ID, **report: Any
) -> EncoderRecord:
    with monkeypatch.context() as patched:
        patched.setattr(conftest, "CLAP_ID", OLD_CLAP)
        patched.setattr(conftest, "BACKBONE_ID", backbone_id)
        return learned(home, lean, **report)


def told_once(record: EncoderRecord) -> str:
    return f"Your voice {record.id[:12]} was made for another latent space: 'penpal encoder migrate' takes it along."


# --- meanwhile --------------------------------------------------------------------------------------------------


def test_writing_goes_on_in_the_generic_voice_and_says_what_to_do(penpal: Run, left_behind: EncoderRecord) -> None:
    written = penpal("write", "Hi.")
    assert (written.code, written.err) == (0, f"penpal: {told_once(left_behind)}\n")
    found = penpal("write", "Hi.", "--json").json[0]
    assert (found["encoder"], found["notice"]) == ("generic", told_once(left_behind))
    assert penpal("write", "Hi.", "--generic").err == ""


def test_chat_says_it_once_and_learns_from_answers(penpal: Run, left_behind: EncoderRecord, store: Store) -> None:
    session = penpal("chat", "--plain", piped="Hi.\n1\nAgain.\n/quit\n")
    assert session.code == 0
    assert session.out.count("'penpal encoder migrate' takes it along.") == 1
    assert [one.source for one in store.evidence(backbone_id=BACKBONE_ID)] == ["pick"]


def test_rating_goes_on(penpal: Run, left_behind: EncoderRecord, store: Store) -> None:
    rated = penpal("rate", "--plain", piped="1\n2\n/quit\n")
    assert rated.code == 0
    assert store.last_act_id() >= 2


def test_feedback_from_a_script_goes_on(penpal: Run, left_behind: EncoderRecord) -> None:
    drafts = penpal("write", "Hi.", "-n", "2", "--json").json
    assert penpal("feedback", "pick", str(drafts[0]["id"])).code == 0


def test_personalizing_makes_a_voice_of_the_new_space(penpal: Run, left_behind: EncoderRecord, store: Store) -> None:
    picks(store, 12)
    assert penpal("personalize", "--no-drafts", "--json").json["activated"]
    assert penpal("write", "Hi.").err == ""


def test_trying_it_by_name_is_refused_with_the_way_out(penpal: Run, left_behind: EncoderRecord) -> None:
    refused = penpal("write", "Hi.", "--voice", left_behind.id[:12])
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert f"'penpal encoder migrate {left_behind.id[:12]}' takes it along" in refused.err


# --- learned anew -----------------------------------------------------------------------------------------------


def test_ones_own_voice_is_learned_anew_and_used(penpal: Run, left_behind: EncoderRecord, store: Store) -> None:
    picks(store, 12)
    done = penpal("encoder", "migrate", "--no-drafts")
    new = store.active_encoder()
    assert new is not None
    assert (done.code, new.clap_id, new.parent_id) == (0, CLAP_ID, left_behind.id)
    assert done.out.splitlines() == [
        f"Voice {left_behind.id[:12]} was learned anew from your 12 answers: it is voice {new.id[:12]} now.",
        "It foresees 100% of choices that were kept from it; before, it was 75%: nothing was lost.",
        "It is in use now; the old one is still on your list.",
    ]
    assert penpal("write", "Hi.").err == ""
    assert penpal("encoder", "list", "--json").json[-1]["origin"] == "migrated"


def test_what_it_foresaw_before_is_asked_of_what_is_remembered(
    penpal: Run, left_behind: EncoderRecord, store: Store
) -> None:
    picks(store, 12)
    remember(store, [e.messages for e in store.evidence(backbone_id=None)])
    found = penpal("encoder", "migrate", "--no-drafts", "--json").json
    assert (found["how"], found["accuracy_before"], found["accuracy"], found["kept"]) == ("learned anew", 1, 1, 1)


def test_answers_about_the_backbone_before_count_from_then_on(
    penpal: Run, penpal_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = of_before(penpal_home, monkeypatch, backbone_id=OLD_BACKBONE)
    store.activate_encoder(record.id, "chosen by hand")
    for number in range(12):
        answer(store, f"Thing {number}", backbone_id=OLD_BACKBONE)
    assert "was made for another backbone" in penpal("write", "Hi.").err
    refused = penpal("personalize", "--no-drafts")
    assert "is about drafts of another backbone: 'penpal encoder migrate' takes it along" in refused.err
    assert penpal("encoder", "migrate", "--no-drafts", "--json").json["answers"] == 12
    picks(store, 3)
    assert penpal("personalize", "--no-drafts", "--json").json["pairs"] == 15
    assert {row["weight"] for row in penpal("pairs", "list", "--all", "--json").json} == {1.0}


# --- mapped -----------------------------------------------------------------------------------------------------


def remember(store: Store, prompts: Sequence[Sequence[Message]]) -> None:
    """What the encoder of before said of the drafts for these prompts: this one's, turned round."""
    reads = ScriptedTextEncoder(LATENT_SIZE)
    for messages in prompts:
        prompt = messages[-1].content
        for text in (f"How lovely, {prompt} indeed!", f"No, {prompt} again."):
            mean = reads.posteriors([(messages, text)]).mean[0, ::-1]
            vector = np.concatenate([mean, np.full(LATENT_SIZE, -3.0)]).astype(np.float32)
            store.add_vectors(OLD_CLAP, {text_key(messages, text): vector.tobytes()})


@pytest.fixture
def guest(penpal_home: Path, store: Store, penpal: Run, monkeypatch: pytest.MonkeyPatch) -> EncoderRecord:
    """A voice from somebody else, of the latent space before, in a home that has read 70 pairs there."""
    monkeypatch.setattr("app.migration.shipped_anchors", lambda: ())
    record = of_before(penpal_home, monkeypatch, made="mapped")
    picks(store, 70)
    remember(store, [e.messages for e in store.evidence(backbone_id=None)])
    return record


def test_another_voice_is_mapped_by_what_both_spaces_read(penpal: Run, guest: EncoderRecord, store: Store) -> None:
    done = penpal("encoder", "migrate", guest.id[:12], "--json").json
    new = store.active_encoder()
    assert new is not None
    assert (done["how"], done["anchors"], done["answers"]) == ("mapped", 70, 70)
    assert done["agreement"] > 0.95
    assert done["foreseen"] > 0.95
    assert done["kept"] == pytest.approx(1.0, abs=0.03)
    described = penpal("encoder", "show", new.id, "--json").json
    assert (described["origin"], described["fits"]) == ("mapped", True)
    assert described["drift"] == pytest.approx(2 * np.linalg.norm(np.linspace(-1, 1, LATENT_SIZE)), rel=0.05)
    words = penpal("encoder", "migrate", guest.id).out
    assert "of such pairs it prefers the same text as before" in words


def test_a_voice_that_hides_choices_is_mapped_without_the_texts_of_the_home(
    penpal: Run, penpal_home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.migration.MIN_ANCHORS", 8)
    monkeypatch.setattr("app.migration.shipped_anchors", lambda: ())
    record = of_before(penpal_home, monkeypatch, made="mapped", epsilon=3.0)
    picks(store, 12)
    remember(store, [e.messages for e in store.evidence(backbone_id=None)])
    refused = penpal("encoder", "migrate", record.id)
    assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_ones_own_voice_without_its_answers_is_mapped_and_says_why(
    penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    record = of_before(penpal_home, monkeypatch)
    anchors = [
        Anchor((Message("user", f"Thing {i}"),), f"How lovely, Thing {i} indeed!", f"No, Thing {i} again.")
        for i in range(70)
    ]
    monkeypatch.setattr("app.migration.shipped_anchors", lambda: tuple(anchors))
    remember(store, [anchor.messages for anchor in anchors])
    done = penpal("encoder", "migrate", "--json").json
    assert (done["old"], done["how"], done["kept"]) == (record.id, "mapped", None)
    assert done["notes"] == ["it was not learned anew: the answers that it was learned from are gone"]


def test_without_the_old_weights_one_line_says_what_is_missing(
    penpal: Run, penpal_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = of_before(penpal_home, monkeypatch)
    assert penpal("encoder", "migrate") == Result(
        1,
        "",
        f"penpal: Voice {record.id[:12]} cannot be taken along: its latent space (CLaP eeeeeeeeeeee) is not on this "
        "machine: give its file with --from-clap FILE.\n",
    )


def test_other_weights_than_its_own_are_refused(
    penpal: Run, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = of_before(penpal_home, monkeypatch)
    (tmp_path / "x.safetensors").write_bytes(b"weights")
    refused = penpal("encoder", "migrate", "--from-clap", tmp_path / "x.safetensors")
    assert refused == Result(
        1,
        "",
        f"penpal: {tmp_path / 'x.safetensors'} is not what voice {record.id[:12]} was made in: that has SHA-256 "
        "eeeeeeeeeeee.\n",
    )


def test_a_voice_at_home_has_nowhere_to_go(penpal: Run, penpal_home: Path) -> None:
    record = learned(penpal_home, 1.0)
    assert penpal("encoder", "migrate") == Result(
        2,
        "",
        "penpal: All your voices are at home in the backbone and the latent space in use: nothing to take along.\n",
    )
    assert "is at home here already" in penpal("encoder", "migrate", record.id).err
    assert "at home in every latent space" in penpal("encoder", "migrate", "generic").err


def test_a_file_that_fits_is_not_migrated_but_imported(penpal: Run, penpal_home: Path, tmp_path: Path) -> None:
    record, file = learned(penpal_home, 1.0), tmp_path / "me.penpal"
    penpal("export", file, "--encoder", record.id, "--no-membership-test")
    refused = penpal("encoder", "migrate", file)
    assert (refused.code, refused.err) == (2, f"penpal: {file} is at home here: 'penpal import {file}' takes it.\n")


def test_a_file_of_another_space_says_what_takes_it_along(
    penpal: Run, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, file = of_before(penpal_home, monkeypatch), tmp_path / "old.penpal"
    penpal("export", file, "--encoder", record.id)
    refused = penpal("import", file)
    assert (refused.code, refused.err.count("\n")) == (1, 1)
    assert f"'penpal encoder migrate {file}' takes it along" in refused.err
    without = penpal("encoder", "migrate", file)
    assert (without.code, without.err.count("\n")) == (1, 1)
    assert "give its file with --from-clap FILE" in without.err
