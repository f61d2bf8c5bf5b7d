"""The latent space that a voice was made in, when this home has another one by now: its weights, as far as they are
still there, and what they said about texts, which the database remembers, and PenPal of those that were released."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.errors import BackboneError, PackError
from core.files import file_sha256
from core.store import EncoderRecord
from models.backbone import Backbone
from models.checkpoint import Arrays, read_arrays
from models.personal_encoder import GaussianEncoder
from models.remembered import RememberedSpace, remembered
from models.text_encoder import TextEncoder, layers_of
from models.text_vectors import TextVectors, text_key

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.migrate import Anchor


class OldSpace:
    """Of one voice. Close it."""

    def __init__(self, penpal: PenPal, record: EncoderRecord, from_clap: Path | None) -> None:
        """`from_clap`: weights that the person names; raises PackError when they are others."""
        self._penpal, self.record, self._named = penpal, record, from_clap
        if from_clap is not None and self.clap_file is None:
            raise PackError(
                f"{from_clap} is not what voice {record.id[:12]} was made in: that has SHA-256 {record.clap_id[:12]}."
            )

    @cached_property
    def clap_file(self) -> Path | None:
        """The weights of the space: those that are named, else any on this machine that PenPal knows of."""
        from app.wiring import EMBEDDED_CLAP

        here = [self._penpal.home.backbones, EMBEDDED_CLAP.parent]
        found = [path for folder in here for path in sorted(folder.rglob("*clap.safetensors"))]
        files = [self._named] if self._named is not None else found
        return next((path for path in files if path.is_file() and file_sha256(path) == self.record.clap_id), None)

    @cached_property
    def backbone(self) -> Backbone | None:
        """The backbone of the space, where it still lies."""
        if self.record.backbone_id == self._penpal.backbone.id:
            return self._penpal.backbone
        path = self._penpal.store.backbone_path(self.record.backbone_id)
        if path is None or not path.is_file() or file_sha256(path) != self.record.backbone_id:
            return None
        return Backbone(path, self.record.backbone_id)

    @cached_property
    def released(self) -> RememberedSpace | None:
        """What is known of a space that PenPal came with once."""
        return remembered(self.record.clap_id)

    @property
    def is_whole(self) -> bool:
        """Whether texts can be read; else only what is remembered of them is there."""
        return self.clap_file is not None and self.backbone is not None

    @property
    def missing(self) -> str:
        """What is not there, and the way out."""
        if self.clap_file is None:
            return (
                f"its latent space (CLaP {self.record.clap_id[:12]}) is not on this machine: give its file with "
                "--from-clap FILE"
            )
        return f"its backbone ({self.record.backbone_id[:12]}) is not on this machine any more: put its file back"

    @cached_property
    def clap(self) -> Arrays:
        """Empty when they are gone."""
        return {} if self.clap_file is None else read_arrays(self.clap_file)[0]

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """Raises BackboneError when the weights are gone."""
        if self.backbone is None or self.clap_file is None:
            raise BackboneError(f"Voice {self.record.id[:12]} cannot read texts: {self.missing}.")
        cache = self._penpal.home.backbones / f"{self.backbone.id}.embedding.safetensors"
        return TextEncoder(self.backbone, self.clap, cache)

    def encoder(self) -> GaussianEncoder:
        """The voice as it was. Raises PackError when its file is missing or damaged."""
        path = self._penpal.home.encoders / self.record.file
        if not path.is_file() or file_sha256(path) != self.record.id:
            raise PackError(f"The voice {self.record.id[:12]} is missing or damaged ({path}).")
        return GaussianEncoder.load(path, latent_size=latent_size_of(path), base=self.layers)[0]

    @property
    def layers(self) -> Arrays:
        """The frozen encoder's, by the names that they have in an encoder with layers of its own.

        Of a released space without its weights the last norm only, by which the size of a head is checked.
        """
        if not self.clap and self.released is not None:
            return {"norm.weight": np.ones(self.released.hidden_size, np.float16)}
        return layers_of(self.clap)

    @property
    def latent_size(self) -> int | None:
        """None when nothing is known of it."""
        if self.clap:
            return int(self.clap["adapter.inp.weight"].shape[1])
        return self.released.latent_size if self.released is not None else None

    def vectors(self, latent_size: int, *, progress: Callable[[float], None] = lambda share: None) -> TextVectors:
        """What the old encoder says about texts; with the weights gone, only of those that `known` names."""
        hidden = len(self.layers["norm.weight"]) if self.layers else self._penpal.clap.hidden_size
        return TextVectors(
            self._penpal.store, self.record.clap_id, lambda: self.text_encoder, latent_size=latent_size,
            hidden_size=hidden, progress=progress,
        )  # fmt: skip

    def known(self, anchors: Sequence[Anchor]) -> list[Anchor]:
        """Those whose two texts can be told in the old space."""
        if self.is_whole:
            return list(anchors)
        if self.released is not None:
            self._penpal.store.add_vectors(self.record.clap_id, self.released.vectors())
        keys = [(text_key(a.messages, a.first), text_key(a.messages, a.second)) for a in anchors]
        stored = self._penpal.store.vectors(self.record.clap_id, [key for pair in keys for key in pair])
        return [anchor for anchor, pair in zip(anchors, keys, strict=True) if all(key in stored for key in pair)]

    def close(self) -> None:
        """Frees the encoder of texts, if there was one."""
        if "text_encoder" in self.__dict__:
            self.text_encoder.close()


def latent_size_of(path: Path) -> int:
    """Of the space that a voice's file lies in. Raises PackError for a file that is none."""
    try:
        mean = read_arrays(path)[0].get("mean")
    except BackboneError as error:
        raise PackError(f"The voice {path} is missing or damaged.") from error
    if mean is None or mean.ndim != 1:
        raise PackError(f"{path} is not a personal encoder: it has no mean.")
    return len(mean)
