"""Which voice writes, its history, and the way back."""

from __future__ import annotations

import pytest

from core.errors import UsageError
from core.store import EncoderRecord, Store
from core.voices import find_encoder, roll_back, use_encoder


@pytest.fixture
def store() -> Store:
    store = Store()
    for name in ("aa1", "aa2", "bbb"):
        store.add_encoder(
            EncoderRecord(name, "f", "personalized", None, "b", "c", 4, "kept", {}, f"2026-01-0{len(name)}")
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


def test_the_chosen_voice_writes_until_another_is_chosen(store: Store) -> None:
    use_encoder(store, "aa1")
    assert active(store) == "aa1"
    use_encoder(store, "generic")
    assert active(store) is None


def test_rolling_back_goes_to_the_voice_before(store: Store) -> None:
    use_encoder(store, "aa1")
    use_encoder(store, "bbb")
    back = roll_back(store)
    assert back is not None
    assert (back.id, active(store)) == ("aa1", "aa1")


def test_rolling_back_twice_goes_two_voices_back(store: Store) -> None:
    for name in ("aa1", "aa2", "bbb"):
        use_encoder(store, name)
    roll_back(store)
    roll_back(store)
    assert active(store) == "aa1"


def test_rolling_back_the_first_voice_is_generic_again(store: Store) -> None:
    use_encoder(store, "aa1")
    assert roll_back(store) is None
    assert active(store) is None


def test_there_is_an_end_to_rolling_back(store: Store) -> None:
    with pytest.raises(UsageError, match="nothing to roll back"):
        roll_back(store)
    use_encoder(store, "aa1")
    roll_back(store)
    with pytest.raises(UsageError, match="nothing to roll back"):
        roll_back(store)


def test_a_voice_chosen_after_a_rollback_is_undone_to_where_it_was_chosen(store: Store) -> None:
    use_encoder(store, "aa1")
    use_encoder(store, "aa2")
    roll_back(store)
    use_encoder(store, "bbb")
    roll_back(store)
    assert active(store) == "aa1"


def test_choosing_the_active_voice_again_is_no_step(store: Store) -> None:
    use_encoder(store, "aa1")
    use_encoder(store, "bbb")
    use_encoder(store, "bbb")
    roll_back(store)
    assert active(store) == "aa1"


def test_every_activation_stays_on_record(store: Store) -> None:
    use_encoder(store, "aa1")
    roll_back(store)
    assert [(a.encoder_id, a.reason) for a in store.activation_history()] == [
        ("aa1", "chosen by hand"),
        (None, "rolled back"),
    ]
