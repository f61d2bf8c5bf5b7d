"""Which voice writes, its history, the way back, and voices that were removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import UsageError
from core.store import EncoderRecord, Store
from core.voices import find_encoder, is_removed, remove_encoder, roll_back, usable_encoder, use_encoder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store()
    for name in ("aa1", "aa2", "bbb"):
        (tmp_path / name).touch()
        store.add_encoder(
            EncoderRecord(name, name, "personalized", None, "b", "c", 4, "kept", {}, f"2026-01-0{len(name)}")
        )
    return store


def active(store: Store) -> str | None:
    record = store.active_encoder()
    return record.id if record else None


def test_the_generic_voice_is_active_at_first(store: Store) -> None:
    assert active(store) is None


def test_an_encoder_is_found_by_the_start_of_its_id(store: Store) -> None:
    found = find_encoder(store, "b")
    assert found is not None
    assert found.id == "bbb"
    assert find_encoder(store, "generic") is None


@pytest.mark.parametrize(("name", "problem"), [("aa", "More than one encoder"), ("x", "No encoder")])
def test_an_id_must_name_one_encoder(store: Store, name: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"{problem} has an id that starts with '{name}'"):
        find_encoder(store, name)


def test_the_chosen_voice_writes_until_another_is_chosen(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    assert active(store) == "aa1"
    use_encoder(store, "generic", tmp_path)
    assert active(store) is None


def test_rolling_back_goes_to_the_voice_before(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    use_encoder(store, "bbb", tmp_path)
    back = roll_back(store, tmp_path)
    assert back is not None
    assert (back.id, active(store)) == ("aa1", "aa1")


def test_rolling_back_twice_goes_two_voices_back(store: Store, tmp_path: Path) -> None:
    for name in ("aa1", "aa2", "bbb"):
        use_encoder(store, name, tmp_path)
    roll_back(store, tmp_path)
    roll_back(store, tmp_path)
    assert active(store) == "aa1"


def test_rolling_back_the_first_voice_is_generic_again(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    assert roll_back(store, tmp_path) is None
    assert active(store) is None


def test_there_is_an_end_to_rolling_back(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to roll back"):
        roll_back(store, tmp_path)
    use_encoder(store, "aa1", tmp_path)
    roll_back(store, tmp_path)
    with pytest.raises(UsageError, match="nothing to roll back"):
        roll_back(store, tmp_path)


def test_a_voice_chosen_after_a_rollback_is_undone_to_where_it_was_chosen(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    use_encoder(store, "aa2", tmp_path)
    roll_back(store, tmp_path)
    use_encoder(store, "bbb", tmp_path)
    roll_back(store, tmp_path)
    assert active(store) == "aa1"


def test_choosing_the_active_voice_again_is_no_step(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    use_encoder(store, "bbb", tmp_path)
    use_encoder(store, "bbb", tmp_path)
    roll_back(store, tmp_path)
    assert active(store) == "aa1"


def test_every_activation_stays_on_record(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    roll_back(store, tmp_path)
    assert [(a.encoder_id, a.reason) for a in store.activation_history()] == [
        ("aa1", "chosen by hand"),
        (None, "rolled back"),
    ]


def test_removing_a_voice_deletes_its_file_and_keeps_its_record(store: Store, tmp_path: Path) -> None:
    removed = remove_encoder(store, "aa2", tmp_path)
    assert (removed.id, is_removed(removed, tmp_path)) == ("aa2", True)
    assert [encoder.id for encoder in store.encoders()] == ["aa1", "aa2", "bbb"]
    assert find_encoder(store, "aa2") == removed
    assert sorted(file.name for file in tmp_path.iterdir()) == ["aa1", "bbb"]


def test_a_removed_voice_cannot_be_used_or_removed_again(store: Store, tmp_path: Path) -> None:
    remove_encoder(store, "aa2", tmp_path)
    for attempt in (usable_encoder, use_encoder, remove_encoder):
        with pytest.raises(UsageError, match="Voice aa2 was removed"):
            attempt(store, "aa2", tmp_path)
    assert active(store) is None


def test_the_voice_in_use_and_the_generic_one_are_not_removed(store: Store, tmp_path: Path) -> None:
    use_encoder(store, "aa1", tmp_path)
    with pytest.raises(UsageError, match="Voice aa1 is in use"):
        remove_encoder(store, "aa1", tmp_path, force=True)
    with pytest.raises(UsageError, match="cannot be removed"):
        remove_encoder(store, "generic", tmp_path)
    assert (tmp_path / "aa1").exists()


def test_the_way_back_is_removed_only_by_force_and_passed_over_then(store: Store, tmp_path: Path) -> None:
    for name in ("aa1", "aa2", "bbb"):
        use_encoder(store, name, tmp_path)
    with pytest.raises(UsageError, match="rollback"):
        remove_encoder(store, "aa2", tmp_path)
    remove_encoder(store, "aa2", tmp_path, force=True)
    back = roll_back(store, tmp_path)
    assert back is not None
    assert back.id == active(store) == "aa1"
    assert roll_back(store, tmp_path) is None
    with pytest.raises(UsageError, match="nothing to roll back"):
        roll_back(store, tmp_path)


def test_a_rollback_past_a_removed_voice_never_lands_where_it_started(store: Store, tmp_path: Path) -> None:
    for name in ("aa1", "aa2", "aa1"):
        use_encoder(store, name, tmp_path)
    remove_encoder(store, "aa2", tmp_path, force=True)
    assert roll_back(store, tmp_path) is None
    assert active(store) is None
