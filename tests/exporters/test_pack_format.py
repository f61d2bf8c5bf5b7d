"""What format 2 of a pack adds: licence, sizes, SHA-256, the small form, strength, and mixes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from core.errors import PackError, UsageError
from core.protocols import Message
from core.store import EncoderRecord
from exporters.manifest import LICENCE, Manifest
from exporters.pack import Pack, export_pack, mix_packs, read_pack
from models.checkpoint import Arrays
from models.personal_encoder import MAX_CONTEXTS, GaussianEncoder
from tests.exporters.test_pack import CONTEXTS, GOOD, HEAD, LAYERS, SIZE, SPACE, personalized, read, refusal

MESSAGES = [Message("user", "Write to Ann.")]


def noise(seed: int, scale: float = 0.3) -> Arrays:
    """A voice that is different in all its parts, layers a small step away from the CLaP's."""
    draw = np.random.default_rng(seed)
    shapes = {name: array.shape for name, array in (GOOD | CONTEXTS | HEAD).items()}
    drawn = {name: draw.normal(0, scale, shape).astype(np.float32) for name, shape in shapes.items()}
    steps = {name: draw.normal(0, 0.01, array.shape) for name, array in SPACE.layers.items()}
    return drawn | {name: (SPACE.layers[name] + step).astype(np.float16) for name, step in steps.items()}


def exported(home: Path, arrays: Arrays, name: str = "a.penpal", **options: Any) -> Pack:
    record = personalized(home, {"accuracy": 0.7, "accuracy_interval": [0.6, 0.8]}, arrays)
    export_pack(record, home / "encoders", home / name, space=SPACE, **options)
    return read(home / name)


def changed(file: Path, **fields: Any) -> Path:
    """The same file with other fields in its manifest."""
    data = file.read_bytes()
    about = json.loads(json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["about"])
    file.write_bytes(save(load(data), metadata={"about": json.dumps(about | fields)}))
    return file


def test_a_pack_says_what_it_is_in_numbers_and_words(tmp_path: Path) -> None:
    manifest = exported(tmp_path, noise(1)).manifest
    assert manifest.format_version == 2
    assert manifest.licence == LICENCE
    assert manifest.accuracy_interval == [0.6, 0.8]
    stored = load((tmp_path / "a.penpal").read_bytes())
    size = sum(array.nbytes for array in stored.values())
    assert manifest.sizes == {"bytes": size, "contexts": 2, "hidden": 6, "latent": SIZE, "layers": 2}
    assert "knows nothing itself" in manifest.card


def test_a_licence_is_one_line_of_the_authors_words(tmp_path: Path) -> None:
    assert exported(tmp_path, GOOD, licence=" CC0-1.0\n").manifest.licence == "CC0-1.0"
    for bad in ("", "x" * 500, "\x1b[2J"):
        with pytest.raises(UsageError, match="A licence is a line"):
            exported(tmp_path, GOOD, licence=bad)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("licence", ""),
        ("licence", None),
        ("sizes", {"latent": 8}),
        ("sizes", {"bytes": 1, "contexts": 0, "hidden": 0, "latent": -1, "layers": 0}),
        ("arrays_sha256", "abc"),
        ("accuracy_interval", [0.9, 0.1]),
        ("accuracy_interval", [None, 0.1]),
        ("strength", -1),
        ("strength", float("inf")),
        ("mixed_of", [["a" * 64, 0]]),
        ("mixed_of", [["../a", 0.5]]),
        ("epsilon", -3),
    ],
)
def test_every_new_field_is_checked(tmp_path: Path, field: str, value: object) -> None:
    exported(tmp_path, GOOD)
    assert f"its field '{field}' is" in refusal(changed(tmp_path / "a.penpal", **{field: value}))


def test_numbers_that_were_exchanged_are_seen(tmp_path: Path) -> None:
    """Whole and sane, but not those that the file was written with."""
    exported(tmp_path, GOOD)
    data = (tmp_path / "a.penpal").read_bytes()
    mean = GOOD["mean"].tobytes()
    (tmp_path / "a.penpal").write_bytes(data.replace(mean, mean[:-4] + np.float32(2).tobytes()))
    assert refusal(tmp_path / "a.penpal").endswith("the SHA-256 of its numbers is not the one that it names.")


def test_sizes_that_are_wrong_are_seen(tmp_path: Path) -> None:
    sizes = exported(tmp_path, GOOD).manifest.sizes | {"layers": 3}
    assert refusal(changed(tmp_path / "a.penpal", sizes=sizes)).endswith("its sizes are not those that it names.")


def test_layers_come_back_within_a_two_hundredth_of_their_largest_step(tmp_path: Path) -> None:
    arrays = noise(2)
    restored = exported(tmp_path, arrays).encoder.layers
    assert restored is not None
    for name, base in SPACE.layers.items():
        step = arrays[name].astype(float) - base
        lost = np.abs(restored[name].astype(float) - arrays[name])
        largest = np.abs(step.reshape(-1, step.shape[-1])).max(1)
        assert (lost.reshape(-1, step.shape[-1]) <= largest[:, None] / 200 + 5e-4).all()


def test_layers_that_did_not_move_stay_as_they_are(tmp_path: Path) -> None:
    still = {name: array.copy() for name, array in SPACE.layers.items()}
    restored = exported(tmp_path, GOOD | HEAD | still).encoder.layers
    assert restored is not None
    assert all(np.array_equal(restored[name], array) for name, array in still.items())


def stored_with(tmp_path: Path, **changes: Any) -> Path:
    """A pack with layers of which some stored arrays are others; None: left out. Its SHA-256 is right."""
    pack = exported(tmp_path, noise(3))
    arrays = {name: array for name, array in {**pack.file.arrays(), **changes}.items() if array is not None}
    about = pack.manifest.describing(pack.encoder, arrays).about()
    (tmp_path / "a.penpal").write_bytes(save(arrays, metadata={"about": json.dumps(about)}))
    return tmp_path / "a.penpal"


@pytest.mark.parametrize(
    "changes",
    [
        {"range.norm.weight": None},
        {"difference.norm.weight": None},
        {"range.norm.weight": np.ones(2, np.float16)},
        {"range.norm.weight": np.full(1, np.nan, np.float16)},
        {"range.norm.weight": np.full(1, np.inf, np.float16)},
        {"range.norm.weight": np.full(1, -1, np.float16)},
        {"range.norm.weight": np.full(1, 60_000, np.float16)},
        {"range.norm.weight": np.ones(1, np.float32)},
        {"difference.norm.weight": np.ones(6, np.float32)},
        {"difference.norm.weight": np.ones(7, np.int8)},
        {"difference.layers.7.mlp.up_proj.weight": np.ones((2, 2), np.int8)},
        {"head": np.ones((6, SIZE), np.int8)},
        {"mean": np.ones(SIZE, np.float16)},
        {"head": None, "center": None},
    ],
)
def test_a_small_form_that_no_export_makes_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    refusal(stored_with(tmp_path, **changes))


def test_a_pack_of_format_1_leaves_as_it_came(tmp_path: Path) -> None:
    from core.store import Store
    from exporters.pack import import_pack

    about = Manifest(SPACE.backbone_id, SPACE.clap_id, 12, 0.75, "2026-11-20", "A voice.", format_version=1,
                     capacity="layers").about()  # fmt: skip
    old = tmp_path / "old.penpal"
    old.write_bytes(save(GOOD | HEAD | LAYERS, metadata={"about": json.dumps(about)}))
    pack = read(old)
    assert (pack.manifest.licence, pack.encoder.arrays().keys()) == ("", (GOOD | HEAD | LAYERS).keys())
    record = import_pack(pack, Store(tmp_path / "penpal.db"), tmp_path / "encoders")
    export_pack(record, tmp_path / "encoders", tmp_path / "again.penpal", space=SPACE)
    assert (tmp_path / "again.penpal").read_bytes() == old.read_bytes()


def test_the_licence_of_somebody_elses_voice_stays(tmp_path: Path) -> None:
    from core.store import Store
    from exporters.pack import import_pack

    pack = exported(tmp_path, GOOD, licence="CC0-1.0")
    record = import_pack(pack, Store(tmp_path / "penpal.db"), tmp_path / "guests")
    with pytest.raises(UsageError, match="its licence stays"):
        export_pack(record, tmp_path / "guests", tmp_path / "b.penpal", space=SPACE, licence="mine")
    weaker = export_pack(record, tmp_path / "guests", tmp_path / "b.penpal", space=SPACE, strength=0.5)
    assert (weaker.licence, weaker.strength, weaker.accuracy) == ("CC0-1.0", 0.5, None)


@pytest.mark.parametrize(
    ("arrays", "kilobytes"),
    [
        (GOOD, 20),
        ({"mean": np.ones(32, np.float32), "log_variance": np.ones(32, np.float32)}
         | {f"context.{i:032}": np.ones(32, np.float32) for i in range(MAX_CONTEXTS)}, 20),
        ({"mean": np.ones(32, np.float32), "log_variance": np.ones(32, np.float32),
          "head": np.ones((2048, 32), np.float32), "center": np.ones(2048, np.float32)}, 200),
    ],
)  # fmt: skip
def test_packs_are_small(tmp_path: Path, arrays: Arrays, kilobytes: int) -> None:
    """Also of a backbone that is 2,048 wide, and with as many kinds of writing as there may be."""
    size = len(arrays["mean"])
    hidden = len(arrays["center"]) if "center" in arrays else 6
    space = replace(SPACE, latent_size=size, layers={"norm.weight": np.ones(hidden, np.float16)})
    encoder = GaussianEncoder.from_arrays(arrays, latent_size=size, source="test")
    encoder.save(tmp_path / "mine.safetensors", {})
    record = EncoderRecord("x", "mine.safetensors", "personalized", None, SPACE.backbone_id, SPACE.clap_id, 12, "kept",
                           {}, "2026-11-20T00:00:00")  # fmt: skip
    export_pack(record, tmp_path, tmp_path / "small.penpal", space=space)
    assert (tmp_path / "small.penpal").stat().st_size < 1000 * kilobytes
    assert read_pack(tmp_path / "small.penpal", space).manifest.sizes["latent"] == size


def test_a_voice_of_another_clap_is_not_exported_by_this_ones_layers(tmp_path: Path) -> None:
    record = personalized(tmp_path, {}, noise(8))
    with pytest.raises(PackError, match="belongs to backbone bbbbbbbbbbbb with CLaP cccccccccccc: set those again"):
        export_pack(record, tmp_path / "encoders", tmp_path / "a.penpal", space=replace(SPACE, clap_id="d" * 64))
    assert not (tmp_path / "a.penpal").exists()


# --- strength ---------------------------------------------------------------------------------------------------


def told(pack: Pack) -> Arrays:
    return pack.encoder.arrays()


def test_strength_1_changes_nothing_and_0_is_generic(tmp_path: Path) -> None:
    arrays = noise(4)
    plain, full = exported(tmp_path, arrays), exported(tmp_path, arrays, "b.penpal", strength=1.0)
    assert full.file.data == plain.file.data
    none = exported(tmp_path, arrays, "c.penpal", strength=0.0)
    assert {name: array.any() for name, array in told(none).items()} == {"mean": False, "log_variance": False}
    assert none.manifest.capacity == "shift"
    assert "set to 0% of what was learned" in none.manifest.card


def test_half_strength_is_baked_in_and_said(tmp_path: Path) -> None:
    half = exported(tmp_path, GOOD, strength=0.5)
    assert np.array_equal(half.encoder.parts.mean, GOOD["mean"].astype(np.float64) / 2)
    assert (half.manifest.strength, half.manifest.accuracy) == (0.5, None)


# --- mixes ------------------------------------------------------------------------------------------------------


def packs(tmp_path: Path) -> list[Pack]:
    return [exported(tmp_path, noise(seed), f"{seed}.penpal", licence=name) for seed, name in ((5, "CC0"), (6, "mine"))]


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 3.0)])
def test_a_weight_of_all_gives_that_voice_to_the_bit(tmp_path: Path, weights: tuple[float, float]) -> None:
    both = packs(tmp_path)
    mix_packs(both, weights, tmp_path / "mix.penpal", space=SPACE)
    assert read(tmp_path / "mix.penpal").file.data == both[int(weights[1] > 0)].file.data


def test_a_mix_says_what_it_was_made_of(tmp_path: Path) -> None:
    both = packs(tmp_path)
    mix_packs(both, (7, 3), tmp_path / "mix.penpal", space=SPACE)
    manifest = read(tmp_path / "mix.penpal").manifest
    assert manifest.mixed_of == [[both[0].manifest.arrays_sha256, 0.7], [both[1].manifest.arrays_sha256, 0.3]]
    assert (manifest.pairs, manifest.accuracy) == (24, None)
    assert manifest.licence == "all of these together: CC0; mine"
    assert "a mix of 2 voices (70%, 30%)" in manifest.card


@pytest.mark.parametrize(
    ("weights", "told"),
    [((1,), "2 voices and 1 weights"), ((0, 0), "not all"), ((-1, 2), "0 or more"), ((float("nan"), 1), "0 or more")],
)
def test_weights_that_make_no_mean_are_refused(tmp_path: Path, weights: tuple[float, ...], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        mix_packs(packs(tmp_path), weights, tmp_path / "mix.penpal", space=SPACE)


def test_a_pack_that_is_too_large_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("exporters.pack", fromlist=["MAX_BYTES"]).MAX_BYTES, "layers", 100)
    with pytest.raises(PackError, match="more than a pack may have"):
        exported(tmp_path, noise(7))
    assert not (tmp_path / "a.penpal").exists()
