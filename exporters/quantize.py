"""A backbone in llama.cpp's formats: from a model's folder as Hugging Face keeps it, or from a GGUF."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from gguf import GGUFReader

from core.errors import BackboneError, UsageError
from models.llama_runtime import FileType, write_gguf_as

DENSE: tuple[FileType, ...] = ("F32", "F16", "BF16")


@dataclass(frozen=True)
class Quantized:
    """One file that was written."""

    path: Path
    kind: FileType
    size_bytes: int
    tensors: dict[str, int]
    """How many tensors have which type, the commonest first: a row whose length a type does not divide gets another."""
    requantized_from: str | None
    """The source's own type where that was quantized too: what it lost stays lost."""

    @property
    def told(self) -> str:
        """One line."""
        types = ", ".join(f"{count} {kind}" for kind, count in self.tensors.items())
        return f"{self.path}: {self.size_bytes / 1e6:.0f} MB ({types})"


def read_kinds(text: str) -> list[FileType]:
    """Types from a list with commas. Raises UsageError, naming it, for one that PenPal does not make."""
    known: dict[str, FileType] = {kind.upper(): kind for kind in get_args(FileType)}
    wanted = [part.strip() for part in text.split(",") if part.strip()]
    if unknown := [part for part in wanted if part.upper() not in known]:
        raise UsageError(f"'{unknown[0]}' is none of the types {', '.join(known.values())}.")
    if not wanted:
        raise UsageError(f"Say which types to write, of {', '.join(known.values())}.")
    return [known[part.upper()] for part in dict.fromkeys(wanted)]


def quantize(source: Path, out: Path, kinds: Sequence[FileType], *, replace: bool = False) -> Iterator[Quantized]:
    """Writes `out/NAME.TYPE.gguf` of each type, one after the other, with llama.cpp's own quantizer.

    Raises BackboneError for a source that is neither a known model's folder nor a GGUF, UsageError for files that are
    there already, unless they are to be replaced.
    """
    if not source.exists():
        raise BackboneError(f"There is no {source}: give a model's folder or a GGUF.")
    name = source.resolve().name if source.is_dir() else source.name.removesuffix(".gguf")
    targets = {kind: out / f"{name}.{kind}.gguf" for kind in kinds}
    if not replace and (there := [target for target in targets.values() if target.exists()]):
        raise UsageError(f"{there[0]} exists: choose another folder, or add --force to replace it.")
    out.mkdir(parents=True, exist_ok=True)
    dense = out / f".{name}.{'-'.join(kinds)}.dense.gguf"
    try:
        weights = source
        if source.is_dir():
            from exporters.gguf_convert import convert  # needs torch, which takes two seconds

            weights = convert(source, dense)
        original = file_type(weights)
        for kind, target in targets.items():
            target.unlink(missing_ok=True)
            write_gguf_as(weights, target, kind)
            requantized = None if original in DENSE else original
            yield Quantized(target, kind, target.stat().st_size, tensor_types(target), requantized)
    finally:
        dense.unlink(missing_ok=True)


def tensor_types(path: Path) -> dict[str, int]:
    """How many tensors of a GGUF have which type, norms left out."""
    found = Counter(tensor.tensor_type.name for tensor in GGUFReader(path).tensors if len(tensor.shape) > 1)
    return dict(found.most_common())


def file_type(path: Path) -> str:
    """The type of most of a GGUF's tensors. Raises BackboneError when it is no GGUF."""
    try:
        return next(iter(tensor_types(path)))
    except (OSError, ValueError, IndexError, StopIteration) as error:
        raise BackboneError(f"{path} is not a GGUF, or it is damaged.") from error
