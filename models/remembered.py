"""What earlier released latent spaces said about the shipped anchors: voices made in them can be taken along without
their weights, which are thirty megabytes each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import read_arrays, write_arrays
from models.migrate import ANCHORS, shipped_anchors
from models.text_encoder import TextEncoder
from models.text_vectors import Text, text_key


@dataclass(frozen=True)
class RememberedSpace:
    """An earlier space, as far as its anchors show it."""

    clap_id: str
    hidden_size: int
    """H: of what its encoder says about a prompt."""
    posteriors: NDArray[np.float16]
    """[2N, 2D]: mean and log-variance of q(z given x, y) of both texts of each of the N anchors."""

    @property
    def latent_size(self) -> int:
        """D."""
        return int(self.posteriors.shape[1]) // 2

    def vectors(self) -> dict[str, bytes]:
        """As `core.store.Store.add_vectors` takes them."""
        keys = [text_key(messages, text) for messages, text in _texts()]
        return dict(zip(keys, (row.tobytes() for row in self.posteriors.astype(np.float32)), strict=True))


def remembered(clap_id: str, folder: Path = ANCHORS.parent) -> RememberedSpace | None:
    """The released space whose weights have this SHA-256; None when there was none."""
    path = _file(clap_id, folder)
    if not path.is_file():
        return None
    arrays, about = read_arrays(path)
    if about["clap"] != clap_id:
        return None
    return RememberedSpace(clap_id, int(about["hidden_size"]), arrays["posteriors"].astype(np.float16))


def remember(encoder: TextEncoder, clap_id: str, folder: Path = ANCHORS.parent) -> Path:
    """Writes what a space says about the anchors, before its weights are replaced."""
    posteriors = np.concatenate(encoder.posteriors(_texts()), axis=1).astype(np.float16)
    path = _file(clap_id, folder)
    write_arrays(path, {"posteriors": posteriors}, {"clap": clap_id, "hidden_size": encoder.shape.hidden})
    return path


def _texts() -> list[Text]:
    return [(a.messages, text) for a in shipped_anchors() for text in (a.first, a.second)]


def _file(clap_id: str, folder: Path) -> Path:
    return folder / f"anchors.{clap_id[:12]}.safetensors"
