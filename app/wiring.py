"""Builds store, decoder, writer and learner from settings. The command line, the TUI and the tests call it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from app.memory import return_freed_memory
from core.errors import BackboneError, LatentStateError, PackError, PenPalError
from core.files import file_sha256
from core.paths import Home, penpal_home
from core.private import make_private
from core.protocols import Sampling
from core.session import Voice, Writer
from core.settings import Settings, read_settings
from core.store import EncoderRecord, Store
from core.voices import usable_encoder
from models.backbone import Backbone, open_backbone

if TYPE_CHECKING:
    import mmap

    from core.evidence import Evidence
    from exporters.pack import Space
    from models.checkpoint import Arrays
    from models.decoder_llama import LlamaDecoder
    from models.fast_path import FastPath
    from models.latent_kv import LatentAdapter
    from models.learner import Array, LearnConfig
    from models.personal_encoder import GaussianEncoder
    from models.text_encoder import TextEncoder
    from models.text_vectors import TextVectors

EMBEDDED_CLAP = Path(__file__).parent.parent / "models" / "pretrained" / "smollm2-135m-instruct.clap.safetensors"

EMBEDDED_CLAP_SHA256 = "0d734567952bbb72371a9e1dca48304f48ef8f153c62fc8f5b1cd2b5de626c29"


@dataclass(frozen=True)
class Clap:
    """The weights of one backbone's latent space."""

    path: Path
    id: str
    arrays: Arrays
    about: dict[str, object]
    mapping: mmap.mmap | None = None
    """The file that the arrays lie in, if they do."""

    @property
    def latent_size(self) -> int:
        return int(self.arrays["adapter.inp.weight"].shape[1])

    @property
    def hidden_size(self) -> int:
        """Of the frozen encoder's states, which a head reads."""
        return len(self.arrays["encoder.norm.weight"])

    @property
    def layers(self) -> Arrays:
        """The frozen encoder's layers and last norm, by the names that they have in an encoder with its own."""
        from models.text_encoder import layers_of

        return layers_of(self.arrays)


class PenPal:
    """Everything one process needs for one home; each part is made when it is first asked for."""

    def __init__(self, home: Home, settings: Settings) -> None:
        self.home, self.settings = home, settings

    @cached_property
    def store(self) -> Store:
        """The home's database. What an upgrade of it set aside is said on stderr."""
        make_private(self.home)
        store = Store(self.home.database)
        if store.before_upgrade is not None:
            from app.cli.output import notice

            notice(f"Your database was upgraded for this version; as it was before, it is in {store.before_upgrade}.")
        return store

    @cached_property
    def backbone(self) -> Backbone:
        backbone = open_backbone(self.settings.backbone)
        self.store.add_backbone(backbone.id, backbone.path)
        return backbone

    @cached_property
    def clap(self) -> Clap:
        """Raises BackboneError when it is missing, damaged, or made for another backbone."""
        from models.mapped_arrays import map_arrays

        path = self.settings.clap or EMBEDDED_CLAP
        if self.settings.backbone and not self.settings.clap:
            raise BackboneError("A backbone of your own needs its CLaP weights: set 'clap' beside 'backbone'.")
        arrays, about, mapping = map_arrays(path)
        digest = file_sha256(path)
        if path == EMBEDDED_CLAP and digest != EMBEDDED_CLAP_SHA256:
            raise BackboneError(
                f"The latent space {path} is damaged: its SHA-256 is {digest[:12]}, it should be "
                f"{EMBEDDED_CLAP_SHA256[:12]}. Install PenPal again."
            )
        if about.get("backbone") != self.backbone.id:
            raise BackboneError(
                f"{path} was made for backbone {str(about.get('backbone'))[:12]}, this one is {self.backbone.id[:12]}."
            )
        return Clap(path, digest, arrays, about, mapping)

    @cached_property
    def decoder(self) -> LlamaDecoder:
        """Loads the backbone; about a second. Without a usable latent state it makes generic drafts only."""
        from models.backbone import ChatTemplate
        from models.decoder_llama import LlamaDecoder
        from models.llama_runtime import LlamaModel

        model = LlamaModel(self.backbone.path, gpu_layers=self.settings.gpu_layers)
        template = ChatTemplate(model.metadata("tokenizer.chat_template"))
        try:
            return LlamaDecoder(model, template, self.adapter, backbone_id=self.backbone.id)
        except LatentStateError as error:
            self.latents_off = str(error)
            return LlamaDecoder(model, template, None, backbone_id=self.backbone.id)

    @cached_property
    def adapter(self) -> LatentAdapter:
        """What turns a latent into cache entries."""
        from models.latent_kv import LatentAdapter, backbone_projections

        projections, shape = backbone_projections(
            self.backbone.path, self.home.backbones / f"{self.backbone.id}.projections.safetensors"
        )
        return LatentAdapter(self.clap.arrays, projections, head_size=shape["head_size"], rope_base=shape["rope_base"])

    latents_off: str = ""
    """Why drafts are generic although an encoder is active; empty when all is well."""

    @cached_property
    def text_encoder(self) -> TextEncoder:
        """The frozen encoder q of this backbone's latent space; a tenth of a second, no language model."""
        from models.decoder_llama import LlamaDecoder
        from models.text_encoder import TextEncoder

        cache = self.home.backbones / f"{self.backbone.id}.embedding.safetensors"
        loaded = self.__dict__.get("decoder")
        tokenizer = loaded.model if isinstance(loaded, LlamaDecoder) else None
        encoder = TextEncoder(self.backbone, self.clap.arrays, cache, tokenizer=tokenizer)
        self._shrink()
        return encoder

    def text_vectors(
        self, *, between: Callable[[], None] = lambda: None, progress: Callable[[float], None] = lambda share: None
    ) -> TextVectors:
        """What the encoder says about texts, cached in the database."""
        from models.text_vectors import TextVectors

        return TextVectors(
            self.store, self.clap.id, lambda: self.text_encoder, latent_size=self.clap.latent_size,
            hidden_size=self.clap.hidden_size, between=between, progress=progress,
        )  # fmt: skip

    @cached_property
    def sameness(self) -> Array | None:
        """[D]: the direction in which drafts become alike; None where it was not measured for this CLaP."""
        from models import sameness

        return sameness.load(self.clap.path, self.clap.id, self.clap.latent_size)

    @property
    def space(self) -> Space:
        """What a pack must fit."""
        from exporters.pack import Space

        return Space(self.backbone.id, self.clap.id, self.clap.latent_size, self.clap.layers)

    def learn_config(self) -> LearnConfig:
        """The settings about learning."""
        from models.learner import LearnConfig

        chosen = self.settings.learning
        return LearnConfig(
            loss=chosen.loss, noise=chosen.noise, variant=chosen.variant, known_weight=chosen.known_weight,
            half_life=chosen.half_life, flip_rate=chosen.flip_rate,
        )  # fmt: skip

    def fits(self, record: EncoderRecord) -> bool:
        """Whether it lies in the latent space of this home."""
        return (record.backbone_id, record.clap_id) == (self.backbone.id, self.clap.id)

    def left_behind(self) -> str:
        """What to do about an active encoder of another latent space, which waits; empty when all is well."""
        active = self.store.active_encoder()
        if active is None or self.fits(active):
            return ""
        other = "backbone" if active.backbone_id != self.backbone.id else "latent space"
        return f"Your voice {active.id[:12]} was made for another {other}: 'penpal encoder migrate' takes it along."

    def active_here(self) -> EncoderRecord | None:
        """The active encoder; None for the generic one, and while one of another latent space waits."""
        active = self.store.active_encoder()
        return active if active is not None and self.fits(active) else None

    def load_encoder(self, record: EncoderRecord) -> GaussianEncoder:
        """The encoder of this record. Raises PackError when its file is gone, damaged, or of another backbone."""
        from models.personal_encoder import GaussianEncoder

        if not self.fits(record):
            raise PackError(
                f"Encoder {record.id[:12]} belongs to backbone {record.backbone_id[:12]} with CLaP "
                f"{record.clap_id[:12]}: 'penpal encoder migrate {record.id[:12]}' takes it along to the ones in use."
            )
        path = self.home.encoders / record.file
        if not path.is_file() or file_sha256(path) != record.id:
            raise PackError(f"The encoder {record.id[:12]} is missing or damaged ({path}): 'penpal encoder rollback'.")
        encoder, _ = GaussianEncoder.load(path, latent_size=self.clap.latent_size, base=self.clap.layers)
        return self.reading(encoder)

    def prompts_of(self, encoder: GaussianEncoder) -> TextVectors:
        """Prompts as this encoder reads them: with layers of its own, or with the frozen ones."""
        vectors = self.text_vectors()
        return vectors if encoder.layers is None else vectors.with_layers(encoder.layers)

    def reading(self, encoder: GaussianEncoder) -> GaussianEncoder:
        """The encoder, able to read prompts."""
        vectors = self.prompts_of(encoder)
        return encoder.reading(lambda messages: vectors.features([messages])[0])

    def voice(self, *, generic: bool = False) -> Voice:
        """The voice of this session, or the generic one.

        Generic too, with `latents_off`, when parity failed or the active voice lies in another latent space.
        """
        if not self.latents_trusted():
            return Voice(None, None)
        if not generic and not self.is_trying:
            self.latents_off = self.left_behind()
        return self.voice_of(None if generic else self.session_encoder())

    def try_voice(self, name: str) -> None:
        """Writes in another voice than the active one for as long as this object lives; answers do not move it.

        Raises UsageError for an unknown or a removed one.
        """
        self._tried = (usable_encoder(self.store, name, self.home.encoders),)

    _tried: tuple[EncoderRecord | None] | None = None

    @property
    def is_trying(self) -> bool:
        """Whether this session writes in another voice than the active one."""
        return self._tried is not None

    def session_encoder(self) -> EncoderRecord | None:
        """The encoder that this session writes with; None is the generic one."""
        return self._tried[0] if self._tried else self.active_here()

    def set_strength(self, strength: float) -> None:
        """How strong voices are from now on, instead of what the settings say."""
        drafts = self.settings.drafts.model_copy(update={"strength": strength})
        self.settings = self.settings.model_copy(update={"drafts": drafts})

    @property
    def strength(self) -> float:
        """From generic (0) to as learned (1) and beyond. Learning never sees it: only what drafts is scaled."""
        return self.settings.drafts.strength

    def voice_of(self, record: EncoderRecord | None) -> Voice:
        """The voice of this encoder, at the strength that is set; None is the generic one."""
        from models.personal_encoder import GaussianEncoder

        if record is None:
            return Voice(GaussianEncoder.generic(self.clap.latent_size), None)
        return Voice(self.load_encoder(record).scaled(self.strength), record.id)

    def _fast_path(self, record: EncoderRecord | None) -> FastPath:
        """From the active encoder; has heard every answer since the last run."""
        from models.fast_path import FastPath
        from models.personal_encoder import GaussianEncoder

        encoder_id = record.id if record else None
        if self._heard is not None and self._heard[0] == encoder_id:
            return self._heard[1]
        encoder = self.load_encoder(record) if record else GaussianEncoder.generic(self.clap.latent_size)
        path = FastPath(
            encoder.parts,
            record.pairs if record else 0,
            self.prompts_of(encoder),
            self.learn_config(),
            avoid=self.sameness,
        )
        # Not of the latest one: the clock that orders them may have been set back.
        heard = max((int(run.report.get("last_act", 0)) for run in self.store.encoders()), default=0)
        by_turn: dict[int, list[Evidence]] = {}
        for evidence in self.store.evidence(backbone_id=self.backbone.id, since_act=heard):
            by_turn.setdefault(evidence.turn_id, []).append(evidence)
        for turn_id, told in by_turn.items():
            path.hear(turn_id, told)
        self._heard = (encoder_id, path)
        return path

    _heard: tuple[str | None, FastPath] | None = None

    def fast_path(self) -> FastPath:
        """What is known of the person now: the active encoder, moved by every answer since the last run."""
        return self._fast_path(self.active_here())

    def learn_now(self, writer: Writer, turn_id: int | None = None) -> int | None:
        """Moves a writer's voice by what was answered about this turn, or at the start by all since the last run.

        Under 50 ms for one turn. A writer whose voice a nightly run has replaced takes up the new one. Returns how many
        turns the voice leans on besides what it was trained on; None when nothing changed, when it is switched off, or
        when another voice is being tried.
        """
        from models.personal_encoder import GaussianEncoder

        active = self.active_here()
        if self.is_trying or not self.settings.learning.fast or not isinstance(writer.voice.encoder, GaussianEncoder):
            return None
        if replaced := writer.voice.encoder_id != (active.id if active else None):
            writer.voice = self.voice()
        path = self._fast_path(active)
        evidence = [] if turn_id is None else self.store.evidence_of_turn(turn_id, backbone_id=self.backbone.id)
        news = turn_id is None or path.hear(turn_id, evidence) or replaced
        if isinstance(writer.voice.encoder, GaussianEncoder):
            moved = writer.voice.encoder.with_parts(path.parts()).scaled(self.strength)
            writer.voice = replace(writer.voice, encoder=moved)
        return path.answered if news else None

    def get_ready_to_learn(self, writer: Writer) -> None:
        """Loads what the first answer needs, so that nobody waits for it then: three seconds in a new home."""
        from models.personal_encoder import GaussianEncoder

        if self.settings.learning.fast and isinstance(writer.voice.encoder, GaussianEncoder):
            _ = self.text_encoder

    @cached_property
    def runtime(self) -> str:
        """What parity depends on besides the weights."""
        return f"llama-cpp-python {importlib.metadata.version('llama-cpp-python')}"

    def latents_trusted(self) -> bool:
        """Compares llama.cpp with the reference once per version of it, and remembers the result."""
        if not self.decoder.has_latents:
            return False
        passed = self.store.parity_passed(self.runtime, self.backbone.id, self.clap.id)
        if passed is None:
            from models.parity import parity_with_reference

            try:
                parity = parity_with_reference(self.decoder, self.clap.arrays)
            except LatentStateError as error:
                self.latents_off = str(error)
                return False
            passed = parity.passed
            self.store.add_parity_check(self.runtime, self.backbone.id, self.clap.id, parity.same, passed)
        if not passed:
            self.latents_off = f"{self.runtime} does not reproduce the reference drafts; run 'penpal doctor'."
        return passed

    def writer(self, *, generic: bool = False, sampling: Sampling | None = None) -> Writer:
        """Loads what is needed and returns a writer in the active voice, leaning already by what came after it."""
        voice = self.voice(generic=generic)
        writer = Writer(self.store, self.decoder, voice, sampling=sampling or self.settings.drafts.sampling())
        if not generic:
            with suppress(PenPalError):  # who cannot learn at once can still write
                self.learn_now(writer)
        self._shrink()
        return writer

    def _shrink(self) -> None:
        """Gives back what was needed to load weights: they were read and converted, and 70 MB of that are left."""
        if "clap" in self.__dict__ and self.clap.mapping is not None:
            from models.mapped_arrays import let_go

            let_go(self.clap.mapping)
        return_freed_memory()

    def close(self) -> None:
        """Frees what was made."""
        if "decoder" in self.__dict__:
            self.decoder.close()
        if "text_encoder" in self.__dict__:
            self.text_encoder.close()
        if "store" in self.__dict__:
            self.store.close()


def open_penpal(home: Home | None = None, *, clap: Path | None = None) -> PenPal:
    """The one wiring function. `clap`: these weights instead of the ones in the settings."""
    place = home or penpal_home()
    settings = read_settings(place)
    return PenPal(place, settings.model_copy(update={"clap": clap}) if clap else settings)
