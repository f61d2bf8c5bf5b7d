"""A pack arrives bit by bit as it left, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from core.errors import PackError
from core.files import file_sha256
from core.store import EncoderRecord, Store
from exporters.manifest import Manifest
from exporters.pack import MAX_BYTES, Pack, Space, export_pack, import_pack, read_pack
from exporters.pack_file import MAX_HEADER_BYTES
from models.learner import CapacityName
from models.personal_encoder import MAX_CONTEXTS, GaussianEncoder
from models.text_encoder import layer_arrays

B, C, SIZE, HIDDEN = "b" * 64, "c" * 64, 8, 6
GOOD: dict[str, Any] = {
    "mean": np.linspace(-1, 1, SIZE, dtype=np.float32),
    "log_variance": np.full(SIZE, -0.25, np.float32),
}
CONTEXTS = {"context.mail": np.ones(SIZE, np.float32), "context.my diary": np.zeros(SIZE, np.float32)}
HEAD = {"head": np.ones((HIDDEN, SIZE), np.float32), "center": np.ones(HIDDEN, np.float32)}
KEYS, INNER = 4, 10
SHAPES: dict[str, tuple[int, ...]] = {"norm.weight": (HIDDEN,)}
SHAPES |= {f"layers.{i}.{name}": shape for i in (0, 1) for name, shape in layer_arrays(HIDDEN, KEYS, INNER).items()}
LAYERS = {name: np.ones(shape, np.float16) for name, shape in SHAPES.items()}
SPACE = Space(B, C, SIZE, {name: np.full(shape, 0.75, np.float16) for name, shape in SHAPES.items()})
ABOUT = Manifest(
    backbone=B, clap=C, pairs=12, accuracy=0.75, created="2026-11-20", card="A voice.", capacity="shift and scale",
    format_version=1,
).about()  # fmt: skip
"""Of a file of format 1, which names no SHA-256 of its arrays."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "me.penpal"


@pytest.fixture
def write(file: Path) -> Callable[..., Path]:
    """Writes a pack with some fields or arrays changed; a field that becomes `...` is left out."""

    def write(arrays: dict[str, Any] | None = None, **changed: Any) -> Path:
        about = {name: value for name, value in {**ABOUT, **changed}.items() if value is not ...}
        file.write_bytes(save({**GOOD, **(arrays or {})}, metadata={"about": json.dumps(about)}))
        return file

    return write


def read(file: Path) -> Pack:
    return read_pack(file, SPACE)


def refusal(file: Path) -> str:
    with pytest.raises(PackError) as caught:
        read(file)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def personalized(home: Path, report: dict[str, Any], arrays: dict[str, Any] = GOOD) -> EncoderRecord:
    file = home / "encoders" / "mine.safetensors"
    encoder = GaussianEncoder.from_arrays(arrays, latent_size=SIZE, source="test")
    encoder.save(file, {"backbone": B, "clap": C, "trained_in": str(home), "last_prompt": "Dear Ann"})
    return EncoderRecord(
        file_sha256(file), file.name, "personalized", None, B, C, 12, "kept", report, "2026-11-20T23:59:59.123+00:00"
    )


@pytest.mark.parametrize(
    ("arrays", "capacity"),
    [
        ({**GOOD, "log_variance": np.zeros(SIZE, np.float32)}, "shift"),
        (GOOD, "shift and scale"),
        (GOOD | CONTEXTS, "contexts"),
        (GOOD | HEAD, "head"),
        (GOOD | HEAD | CONTEXTS, "head"),
        (GOOD | HEAD | LAYERS, "layers"),
    ],
)
def test_a_pack_goes_through_two_homes_bit_by_bit(tmp_path: Path, arrays: dict[str, Any], capacity: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    record = personalized(here, {"accuracy": 0.7123456789, "capacity": "shift"}, arrays)
    export_pack(record, here / "encoders", tmp_path / "first.penpal", space=SPACE)
    pack = read(tmp_path / "first.penpal")
    store = Store(there / "penpal.db")
    imported = import_pack(pack, store, there / "encoders")
    export_pack(imported, there / "encoders", tmp_path / "second.penpal", space=SPACE)
    assert (tmp_path / "second.penpal").read_bytes() == (tmp_path / "first.penpal").read_bytes()
    encoder, _ = GaussianEncoder.load(there / "encoders" / imported.file, latent_size=SIZE, base=SPACE.layers)
    kept = encoder.arrays()
    # Equality of bytes, not allclose: these are numbers that the small form holds exactly.
    assert {name: array.tobytes() for name, array in kept.items()} == {n: a.tobytes() for n, a in arrays.items()}
    assert (pack.manifest.capacity, imported.report["capacity"]) == (capacity, capacity)


def test_an_imported_encoder_is_kept_under_its_hash_and_not_activated(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    store = Store()
    record = import_pack(read(write()), store, tmp_path / "encoders")
    assert record.file == f"{record.id}.safetensors"
    assert file_sha256(tmp_path / "encoders" / record.file) == record.id
    assert (store.encoders(), store.active_encoder()) == ([record], None)
    assert (record.origin, record.pairs, record.report["accuracy"]) == ("imported", 12, 0.75)


def test_importing_twice_is_importing_once(write: Callable[..., Path], tmp_path: Path) -> None:
    store, pack = Store(), read(write())
    import_pack(pack, store, tmp_path / "encoders")
    import_pack(pack, store, tmp_path / "encoders")
    assert len(store.encoders()) == 1
    assert len(list((tmp_path / "encoders").iterdir())) == 1


def test_a_pack_holds_no_path_and_no_text_of_the_person(tmp_path: Path) -> None:
    record = personalized(tmp_path, {"accuracy": 0.7, "reason": "because Dear Ann", "log": "/home/ann"})
    export_pack(record, tmp_path / "encoders", tmp_path / "x.penpal", space=SPACE)
    data = (tmp_path / "x.penpal").read_bytes()
    assert [word for word in (b"Ann", b"ann", b"/home", str(tmp_path).encode(), b"23:59") if word in data] == []


def test_the_card_says_in_words_what_the_fields_say(tmp_path: Path) -> None:
    record = personalized(tmp_path, {"accuracy": 0.7})
    manifest = export_pack(record, tmp_path / "encoders", tmp_path / "x.penpal", space=SPACE)
    assert "learned from 12 choices by 2026-11-20" in manifest.card
    assert "70% of the time" in manifest.card
    assert "It holds lists of numbers and no text. " in manifest.card


def test_the_card_names_the_kinds_of_writing_that_a_voice_knows(tmp_path: Path) -> None:
    record = personalized(tmp_path, {}, GOOD | CONTEXTS)
    manifest = export_pack(record, tmp_path / "encoders", tmp_path / "x.penpal", space=SPACE)
    assert "but the names of the kinds of writing it knows (mail, my diary)" in manifest.card


def test_the_card_of_a_voice_that_knows_very_many_kinds_can_be_imported(tmp_path: Path) -> None:
    contexts = {f"context.{i:032}": np.ones(SIZE, np.float32) for i in range(MAX_CONTEXTS)}
    record = personalized(tmp_path, {"accuracy": 1 / 3}, GOOD | contexts)
    manifest = export_pack(record, tmp_path / "encoders", tmp_path / "x.penpal", space=SPACE)
    assert read(tmp_path / "x.penpal").manifest == manifest


def test_an_accuracy_that_was_not_measured_is_left_out(tmp_path: Path) -> None:
    record = personalized(tmp_path, {})
    manifest = export_pack(record, tmp_path / "encoders", tmp_path / "x.penpal", space=SPACE)
    assert manifest.accuracy is None
    assert "%" not in manifest.card
    assert read(tmp_path / "x.penpal").manifest == manifest


def test_a_damaged_encoder_is_not_exported(tmp_path: Path) -> None:
    record = personalized(tmp_path, {})
    (tmp_path / "encoders" / record.file).write_bytes(b"")
    with pytest.raises(PackError, match="is missing or damaged"):
        export_pack(record, tmp_path / "encoders", tmp_path / "x.penpal", space=SPACE)
    assert not (tmp_path / "x.penpal").exists()


def test_every_way_of_cutting_a_pack_short_is_refused(write: Callable[..., Path]) -> None:
    file = write()
    data = file.read_bytes()
    for length in range(len(data)):
        file.write_bytes(data[:length])
        refusal(file)


def test_one_changed_bit_anywhere_is_refused_or_harmless(write: Callable[..., Path], tmp_path: Path) -> None:
    """No flipped bit may raise anything but PackError, or bring in values that no training makes."""
    data, file = write().read_bytes(), tmp_path / "flipped.penpal"
    for place in range(len(data)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0x40]) + data[place + 1 :])
        try:
            encoder = read(file).encoder
        except PackError:
            continue
        assert np.isfinite(encoder.parts.mean).all()


def test_a_pack_of_another_backbone_names_both(write: Callable[..., Path]) -> None:
    message = refusal(write(backbone="d" * 64))
    assert "was made for backbone dddddddddddd, this home has backbone bbbbbbbbbbbb" in message


def test_a_pack_of_another_clap_names_both(write: Callable[..., Path]) -> None:
    assert "was made for CLaP dddddddddddd, this home has CLaP cccccccccccc" in refusal(write(clap="d" * 64))


def test_a_pack_of_a_newer_format_asks_for_an_update(write: Callable[..., Path]) -> None:
    assert refusal(write(format_version=3)).endswith(
        "has format version 3, this PenPal reads versions up to 2: update PenPal."
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("name", ["mean", "log_variance"])
def test_values_that_no_training_makes_are_refused(write: Callable[..., Path], name: str, bad: float) -> None:
    array = GOOD[name].copy()
    array[3] = bad
    assert f"{name} holds values that no training makes" in refusal(write({name: array}))


def test_a_signalling_not_a_number_is_refused_without_a_warning(write: Callable[..., Path]) -> None:
    mean = GOOD["mean"].copy()
    mean.view(np.uint32)[3] = 0x7F80007E
    assert "mean holds values that no training makes" in refusal(write({"mean": mean}))


@pytest.mark.parametrize(
    "arrays",
    [
        {"mean": np.zeros(SIZE + 1, np.float32)},
        {"mean": np.zeros((1, SIZE), np.float32)},
        {"mean": np.zeros(SIZE, np.float64)},
        {"mean": np.zeros(SIZE, np.float16)},
        {"surprise": np.zeros(SIZE, np.float32)},
    ],
)
def test_arrays_of_another_name_shape_or_type_are_refused(write: Callable[..., Path], arrays: dict[str, Any]) -> None:
    refusal(write(arrays))


def test_a_type_that_numpy_lacks_is_refused(write: Callable[..., Path], file: Path) -> None:
    write({"mean": np.zeros(SIZE, np.float16)})
    file.write_bytes(file.read_bytes().replace(b'"F16"', b'"BF16"').replace(b"  ", b" ", 1))
    refusal(file)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("backbone", "../../etc/passwd"),
        ("backbone", ...),
        ("clap", None),
        ("pairs", -1),
        ("pairs", True),
        ("pairs", 10**30),
        ("accuracy", "high"),
        ("accuracy", float("nan")),
        ("accuracy", 1.5),
        ("accuracy", ...),
        ("created", "2026-11-20T10:00"),
        ("created", "yesterday"),
        ("card", "\x1b[2J"),
        ("card", "x" * 3000),
        ("card", ...),
        ("capacity", "lora"),
        ("capacity", ["shift"]),
        ("capacity", None),
    ],
)
def test_every_field_of_the_manifest_is_checked(write: Callable[..., Path], field: str, value: object) -> None:
    message = refusal(write(**{field: value}))
    assert f"its field '{field}' is" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("arrays", "capacity", "holds"),
    [
        ({}, "shift", "shift and scale"),
        (CONTEXTS, "shift and scale", "contexts"),
        (HEAD, "contexts", "head"),
        (HEAD | LAYERS, "head", "layers"),
    ],
)
def test_a_pack_holds_no_more_than_its_capacity_says(
    write: Callable[..., Path], arrays: dict[str, Any], capacity: str, holds: str
) -> None:
    assert refusal(write(arrays, capacity=capacity)).endswith(f"is damaged: it says '{capacity}' and holds '{holds}'.")


def test_a_head_over_other_features_is_refused(write: Callable[..., Path]) -> None:
    narrow = {"head": np.ones((HIDDEN - 1, SIZE), np.float32), "center": np.ones(HIDDEN - 1, np.float32)}
    assert refusal(write(narrow, capacity="head")).endswith("it reads 5 features of a prompt, there are 6.")


def test_layers_of_another_size_are_refused(write: Callable[..., Path]) -> None:
    sizes = layer_arrays(HIDDEN, KEYS, INNER + 2)
    wide = {f"layers.{i}.{name}": np.ones(shape, np.float16) for i in (0, 1) for name, shape in sizes.items()}
    assert refusal(write(HEAD | LAYERS | wide, capacity="layers")).endswith("not of the size that this CLaP's are.")
    one_less = {name: array for name, array in (HEAD | LAYERS).items() if not name.startswith("layers.1.")}
    assert refusal(write(one_less, capacity="layers")).endswith("not of the size that this CLaP's are.")


@pytest.mark.parametrize("name", ["context.\x1b[2J", "context.Küche", "context." + "x" * 100, "\n"])
def test_a_name_that_should_not_reach_a_terminal_does_not(write: Callable[..., Path], name: str) -> None:
    message = refusal(write({name: np.zeros(SIZE, np.float32)}, capacity="contexts"))
    assert message.isprintable()
    assert message.isascii()


def test_more_arrays_than_any_encoder_has_are_refused_in_a_short_line(write: Callable[..., Path]) -> None:
    many = {f"context.{i}": np.zeros(SIZE, np.float32) for i in range(300)}
    assert refusal(write(many, capacity="contexts")).endswith("is damaged: it holds 302 arrays.")


def test_an_unknown_field_is_refused(write: Callable[..., Path]) -> None:
    assert "a field that version 1 does not know: 'note'" in refusal(write(note="Dear Ann"))


@pytest.mark.parametrize("about", [{}, [], "text", {"format": "penpal-voice"}])
def test_safetensors_of_something_else_are_refused(file: Path, about: object) -> None:
    file.write_bytes(save(GOOD, metadata={"about": json.dumps(about)}))
    assert "is not a PenPal encoder: use a file that 'penpal export' wrote" in refusal(file)


def test_safetensors_without_a_manifest_are_refused(file: Path) -> None:
    file.write_bytes(save(GOOD))
    assert "is not a PenPal encoder" in refusal(file)


@pytest.mark.parametrize(
    "header", [b"[" * 50_000, b"[]", b"null", b'{"mean": 3, "__metadata__": {"about": "{}"}}', b"\xff"]
)
def test_a_hostile_header_is_refused(file: Path, header: bytes) -> None:
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    refusal(file)


def test_a_file_that_is_far_too_large_is_refused_unread(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(100 * MAX_BYTES["layers"])
    assert refusal(file).endswith("it is larger than 40000 kB.")


@pytest.mark.parametrize(("capacity", "kilobytes"), [("shift", 64), ("contexts", 64), ("head", 1000)])
def test_a_file_that_is_too_large_for_its_capacity_is_refused(
    write: Callable[..., Path], capacity: CapacityName, kilobytes: int
) -> None:
    large = {"surprise": np.zeros(MAX_BYTES[capacity] // 4, np.float32)}
    assert refusal(write(large, capacity=capacity)).endswith(f"it is larger than {kilobytes} kB.")


def test_a_header_that_is_far_too_large_is_refused(file: Path) -> None:
    header = b'{"x": ' + b" " * MAX_HEADER_BYTES + b"1}"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    assert "is not a PenPal encoder" in refusal(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "nowhere").endswith("nowhere cannot be read: No such file or directory.")
    assert refusal(tmp_path).endswith("cannot be read: Is a directory.")
