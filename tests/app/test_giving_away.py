"""`penpal export` says what the file gives away, tests it, and makes one that gives away less."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.files import file_sha256
from core.store import EncoderRecord, Store
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from tests.app.conftest import BACKBONE_ID, CLAP_ID, LATENT_SIZE, Result, answer, learned, picks
from tests.scripted_text_encoder import HIDDEN_SIZE

Run = Callable[..., Result]


@pytest.fixture
def voice(penpal: Run, store: Store) -> str:
    """The id of a voice that was learned from 20 answers."""
    picks(store, 20)
    return str(penpal("personalize", "--no-drafts", "--json").json["encoder_id"])


def test_what_can_be_read_from_the_file_is_said(penpal: Run, voice: str, tmp_path: Path) -> None:
    told = penpal("export", tmp_path / "me.penpal")
    assert (told.code, told.err) == (0, "")
    assert "which of two texts you would like better" in told.out
    assert "learned from 20 choices by 20" in told.out
    assert "none of your texts" in told.out
    assert "AUC 0." in told.out
    assert "64 trainings on half of your 20 choices" in told.out


def test_the_test_is_there_for_programs_and_can_be_left_out(penpal: Run, voice: str, tmp_path: Path) -> None:
    found = penpal("export", tmp_path / "a.penpal", "--json").json["gives_away"]
    assert found["untested"] is None
    assert found["membership"]["choices"] == 20
    assert found["membership"]["auc"] == max(
        found["membership"][attack]["auc"] for attack in ("by_margin", "by_likelihood_ratio")
    )
    left_out = penpal("export", tmp_path / "b.penpal", "--no-membership-test", "--json").json["gives_away"]
    assert left_out == {"kinds": [], "membership": None, "untested": "left out, as you asked"}
    assert (tmp_path / "a.penpal").read_bytes() == (tmp_path / "b.penpal").read_bytes()


def test_the_answers_since_are_no_part_of_the_test(penpal: Run, voice: str, store: Store, tmp_path: Path) -> None:
    for number in range(5):
        answer(store, f"Another thing {number}")
    found = penpal("export", tmp_path / "me.penpal", "--json").json["gives_away"]
    assert found["membership"]["choices"] == 20


def test_a_voice_learned_by_heart_is_warned_of(penpal: Run, store: Store, tmp_path: Path) -> None:
    for number in range(24):  # warm and dry in turn: nothing but the answers themselves to learn
        texts = (f"Yes {number}!", f"No {number}.") if number % 2 else (f"No {number}.", f"Yes {number}!")
        answer(store, f"Thing {number}", texts=texts)
    penpal("personalize", "--no-drafts", "--force")
    told = penpal("export", tmp_path / "me.penpal").out
    assert "That is a lot" in told
    assert "penpal export --private 3" in told


def test_a_voice_whose_choices_are_elsewhere_is_not_tested_and_that_is_said(
    penpal: Run, voice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    penpal("export", tmp_path / "me.penpal")
    monkeypatch.setenv("PENPAL_HOME", str(tmp_path / "other"))
    penpal("import", tmp_path / "me.penpal", "--use")
    told = penpal("export", tmp_path / "again.penpal").out
    assert "was not tested: the choices that it was learned from are not on this machine." in told


def test_the_names_of_kinds_of_writing_are_named(penpal: Run, penpal_home: Path, tmp_path: Path) -> None:
    record = learned(penpal_home, 1.0, contexts={"mail": 0.5, "my diary": 1.0})
    told = penpal("export", tmp_path / "me.penpal", "--encoder", record.id).out
    assert "- the names of your kinds of writing: mail, my diary;" in told


# --- private ----------------------------------------------------------------------------------------------------


def test_a_private_voice_is_made_listed_and_exported_but_not_used(
    penpal: Run, store: Store, voice: str, tmp_path: Path
) -> None:
    found = penpal("export", tmp_path / "me.penpal", "--private", "50", "--json").json
    private = store.encoders()[-1]
    active = store.active_encoder()
    assert active is not None
    assert (found["encoder_id"], active.id) == (private.id, voice)
    listed = penpal("encoder", "list", "--json").json
    assert [row["origin"] for row in listed] == ["built in", "personalized", "private"]
    assert (found["manifest"]["epsilon"], found["manifest"]["accuracy"]) == (50, None)
    made = found["private"]
    assert (made["epsilon"], made["delta"], made["choices"]) == (50, 1e-5, 20)
    assert made["accuracy_interval"][0] <= made["accuracy"] <= made["accuracy_open"] == 1.0
    assert found["gives_away"]["membership"]["choices"] == 20
    # Since the noise is drawn anew, who exports twice gives away twice as much, and is told.
    again = penpal("export", tmp_path / "again.penpal", "--private", "50")
    assert "add up to epsilon 100" in again.out
    assert (tmp_path / "again.penpal").read_bytes() != (tmp_path / "me.penpal").read_bytes()


def test_what_the_database_keeps_of_a_private_voice_is_covered_by_the_noise(
    penpal: Run, store: Store, voice: str, tmp_path: Path
) -> None:
    penpal("export", tmp_path / "me.penpal", "--private", "50", "--no-membership-test")
    told = {"capacity", "epsilon", "delta", "answers_until", "reason", "made"}
    assert set(store.encoders()[-1].report) == told


def test_the_cost_is_said(penpal: Run, voice: str, tmp_path: Path) -> None:
    told = penpal("export", tmp_path / "me.penpal", "--private", "50", "--delta", "1e-6").out
    assert "Trained anew on 20 choices with differential privacy (epsilon 50, delta 1e-06)" in told
    assert "without privacy 100%" in told
    assert "95% interval" in told


def test_choices_that_drown_in_the_noise_make_no_file(penpal: Run, store: Store, tmp_path: Path) -> None:
    picks(store, 12)
    found = penpal("export", tmp_path / "me.penpal", "--private", "0.001")
    assert (found.code, found.err.count("\n")) == (1, 1)
    assert "the noise drowns what 12 choices say" in found.err
    assert not (tmp_path / "me.penpal").exists()
    assert store.encoders() == []


def test_single_marks_teach_a_private_voice_nothing(penpal: Run, store: Store, tmp_path: Path) -> None:
    found = penpal("export", tmp_path / "me.penpal", "--private", "3")
    assert (found.code, found.err) == (
        1,
        "penpal: There is not enough to learn from: 0 of 4 pairs. Pick or edit drafts in 'penpal chat', or label pairs "
        "in 'penpal rate'.\n",
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--private", "0"], "--private 0 hides nothing"),
        (["--private=-1"], "--private -1 hides nothing"),
        (["--private", "nan"], "--private nan hides nothing"),
        (["--private", "inf"], "--private inf hides nothing"),
        (["--private", "3", "--delta", "0"], "--delta 0 hides nothing"),
        (["--delta", "0.001"], "--delta goes with --private."),
        (["--private", "3", "--encoder", "abc"], "do not go together"),
    ],
)
def test_absurd_wishes_are_one_line(penpal: Run, tmp_path: Path, options: list[str], told: str) -> None:
    found = penpal("export", tmp_path / "me.penpal", *options)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert told in found.err
    assert not (tmp_path / "me.penpal").exists()


def test_a_delta_is_small_against_the_number_of_choices(penpal: Run, store: Store, tmp_path: Path) -> None:
    picks(store, 12)
    found = penpal("export", tmp_path / "me.penpal", "--private", "3", "--delta", "0.09")
    assert (found.code, found.out) == (2, "")
    assert "--delta 0.09 hides nothing among 12 choices" in found.err


# --- layers -----------------------------------------------------------------------------------------------------


def with_layers(store: Store, home: Path, pairs: int) -> str:
    """The record of a voice with layers of its own. Its file has a head only: what reads prompts here is a rule."""
    head = np.random.default_rng(0).standard_normal((HIDDEN_SIZE, LATENT_SIZE))
    parts = Parts(np.zeros(LATENT_SIZE), np.zeros(LATENT_SIZE), {}, np.zeros(HIDDEN_SIZE), head)
    file = home / "encoders" / "new.safetensors"
    GaussianEncoder(parts).save(file, {})
    name = file_sha256(file)
    file.replace(file.with_name(f"{name}.safetensors"))
    report = {"capacity": "layers", "last_act": store.last_act_id()}
    store.add_encoder(
        EncoderRecord(
            name, f"{name}.safetensors", "personalized", None, BACKBONE_ID, CLAP_ID, pairs, "kept", report, "2026-11-20"
        )
    )
    return name


def test_layers_are_asked_about_what_their_own_training_left_out(
    penpal: Run, store: Store, penpal_home: Path, tmp_path: Path
) -> None:
    picks(store, 50)
    name = with_layers(store, penpal_home, 50)
    told = penpal("export", tmp_path / "me.penpal", "--encoder", name).out
    assert "from 50 choices, some of which its training had left out" in told


def test_layers_whose_choices_have_changed_are_not_tested(
    penpal: Run, store: Store, penpal_home: Path, tmp_path: Path
) -> None:
    picks(store, 4)
    name = with_layers(store, penpal_home, 5)
    told = penpal("export", tmp_path / "me.penpal", "--encoder", name).out
    assert "was not tested: your answers have changed since" in told
