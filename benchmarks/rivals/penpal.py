"""PenPal among its rivals: the real program on a home in a temporary folder, drafting through the shared sampler.

Three of them: the generic voice (z = 0), the fast path that leans after each answer, and `penpal personalize` with its
gate and its check of fluency. Nothing is simulated but the person.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from app.learning import personalize
from app.wiring import PenPal, open_penpal
from benchmarks.people import link_or_copy
from benchmarks.rivals.cost_meter import CostMeter
from benchmarks.rivals.method import Author, Comparison, Cost
from benchmarks.rivals.torch_author import Conversation, Hooks, SampledAuthor, SharedSampler
from core.contexts import context_of
from core.errors import LearnError
from core.paths import Home
from core.protocols import Sampling
from models.adapter import Adapter
from models.decoder_torch import adapter_from
from models.personal_encoder import GaussianEncoder
from models.text_vectors import text_key

Kind = Literal["generic", "fast path", "full"]
TIMED_TEXTS = 20


class Library:
    """What all people share: a home whose cache knows every text that was read, the decoder, the adapter in torch."""

    def __init__(self, folder: Path, sampler: SharedSampler) -> None:
        self.sampler = sampler
        self.penpal = open_penpal(Home(folder))
        self._text_seconds: float | None = None

    @cached_property
    def adapter(self) -> Adapter:
        """From a latent to key/value entries, in float32 over the sampler's backbone."""
        return adapter_from(self.penpal.clap.arrays, self.sampler.lm)

    def author(self, encoder: GaussianEncoder, cost: Cost) -> SampledAuthor:
        """Drafts from the encoder's mean, as the program does when nothing is compared."""
        reading = self.penpal.reading(encoder)

        @torch.no_grad()
        def after(prompts: Sequence[Conversation]) -> Tensor:
            means = [reading.mean(prompt, context_of(prompt[-1].content)) for prompt in prompts]
            entries: Tensor = self.adapter(torch.from_numpy(np.stack(means)))
            return entries

        return SampledAuthor(self.sampler, cost, Hooks(after=after))

    def read(self, choices: Sequence[Comparison]) -> float:
        """Has the encoder read these texts, each once for everybody; returns the seconds that this takes one person."""
        texts = {text_key(c.messages, side): (c.messages, side) for c in choices for side in (c.chosen, c.rejected)}
        prompts = {text_key(c.messages, ""): c.messages for c in choices}
        vectors = self.penpal.text_vectors()
        vectors.posteriors(list(texts.values()))
        vectors.features(list(prompts.values()))
        return len(texts) * self._seconds_per_text(list(texts.values()))

    def _seconds_per_text(self, texts: Sequence[tuple[Conversation, str]]) -> float:
        """Measured once, on the first texts that come; the features of their prompts included."""
        if self._text_seconds is None and texts:
            some = texts[:TIMED_TEXTS]
            self.penpal.text_encoder.posteriors(some[:1])  # loaded and warm
            started = time.monotonic()
            for text in some:
                self.penpal.text_encoder.posteriors([text])
            self.penpal.text_encoder.prompt_features([messages for messages, _ in some[::2]])
            self._text_seconds = (time.monotonic() - started) / len(some)
        return self._text_seconds or 0.0

    @contextmanager
    def home(self) -> Iterator[LivingHome]:
        """A new person's."""
        with tempfile.TemporaryDirectory() as folder:
            place = Home(Path(folder))
            if self.penpal.home.backbones.exists():
                shutil.copytree(
                    self.penpal.home.backbones, place.backbones, copy_function=link_or_copy, dirs_exist_ok=True
                )
            with closing(open_penpal(place)) as penpal:
                penpal.__dict__["decoder"] = self.penpal.decoder
                penpal.__dict__["text_encoder"] = self.penpal.text_encoder
                try:
                    yield LivingHome(self, penpal)
                finally:
                    # Shared: not this home's to close.
                    del penpal.__dict__["decoder"], penpal.__dict__["text_encoder"]


class LivingHome:
    """One person's home while they use it."""

    def __init__(self, library: Library, penpal: PenPal) -> None:
        self.library, self.penpal = library, penpal
        self._news: list[int] = []
        """Turns that the fast path has not been told of."""

    def tell(self, choices: Sequence[Comparison], *, as_edits: bool = False) -> None:
        """The person chose, or edited: `rejected` into `chosen`; equal texts were accepted as they are."""
        store, backbone_id = self.penpal.store, self.penpal.backbone.id
        for choice in choices:
            prompt = choice.messages[-1].content
            turn = store.add_turn(
                store.add_conversation(prompt[:40], origin="demo"),
                prompt,
                choice.messages,
                context=choice.context or None,
            )
            self._news.append(turn)
            ids = []
            for side, text in enumerate([choice.rejected] if as_edits else [choice.chosen, choice.rejected]):
                ids.append(
                    store.add_draft(
                        turn,
                        side=side,
                        z=None,
                        encoder_id=None,
                        backbone_id=backbone_id,
                        sampling=Sampling(),
                        seed=side,
                    )
                )
                store.finish_draft(ids[-1], text, tokens=0, finish="stop", duration_ms=0)
            if not as_edits:
                store.add_act("pick", turn, draft_id=ids[0], other_draft_id=ids[1])
            elif choice.chosen == choice.rejected:
                store.add_act("accept", turn, draft_id=ids[0], text=choice.chosen)
            else:
                store.add_act("edit", turn, draft_id=ids[0], text=choice.chosen)
        self._share_vectors(choices)

    def _share_vectors(self, choices: Sequence[Comparison]) -> None:
        """What the library has read need not be read again here; `Library.read` says what it costs a person."""
        own, shared = self.penpal.store, self.library.penpal.store
        texts = [text_key(c.messages, side) for c in choices for side in (c.chosen, c.rejected)]
        prompts = [text_key(c.messages, "") for c in choices]
        for space, keys in ((self.penpal.clap.id, texts), (f"{self.penpal.clap.id}:prompts", prompts)):
            own.add_vectors(space, shared.vectors(space, sorted(set(keys))))

    def leaning(self) -> GaussianEncoder:
        """The active encoder, moved by what was told since the last run."""
        encoder = self.active() or GaussianEncoder.generic(self.penpal.clap.latent_size)
        path, store = self.penpal.fast_path(), self.penpal.store
        for turn in self._news:
            path.hear(turn, store.evidence_of_turn(turn, backbone_id=self.penpal.backbone.id))
        self._news.clear()
        return encoder.with_parts(path.parts())

    def active(self) -> GaussianEncoder | None:
        """What the last run activated, if it did."""
        record = self.penpal.store.active_encoder()
        return self.penpal.load_encoder(record) if record else None

    def personalize(self, *, drafts: bool = True) -> dict[str, float | str]:
        """As the command; too little to learn from changes nothing. `drafts`: with the check of fluency."""
        try:
            report = personalize(self.penpal, drafts=drafts, examples=0)
        except LearnError as error:
            return {"activated": 0.0, "reason": str(error)}
        return {
            "activated": float(report.activated),
            "capacity": report.capacity,
            "accuracy": report.accuracy,
            "p_value": report.p_value,
            "strength": report.strength,
            "seconds_learn": report.seconds["learn"],
            "seconds_check": report.seconds["drafts"],
        }


@dataclass
class PenPalMethod:
    """A `Method`: tells a new home the choices as picks and takes the voice that results."""

    library: Library
    kind: Kind = "full"
    config: Mapping[str, object] = field(default_factory=dict)
    """Fields of `LearnConfig` that differ from the program's."""
    drafts: bool = True
    """With the check of fluency, which is part of the program's run and of `Cost.seconds`."""

    @property
    def name(self) -> str:
        return {"generic": "penpal-generic", "fast path": "penpal-fast", "full": "penpal"}[self.kind]

    def learn(self, choices: Sequence[Comparison], *, seed: int) -> Author:
        """FLOPs are those of reading texts (twice the encoder's weights per token); fitting 32 numbers adds little."""
        generic = GaussianEncoder.generic(self.library.penpal.clap.latent_size)
        if self.kind == "generic":
            return self.library.author(generic, Cost(0.0))
        before = self.library.read(choices)
        with self.library.home() as home:
            if self.config:
                config = replace(home.penpal.learn_config(), **dict(self.config))  # type: ignore[arg-type]
                home.penpal.__dict__["learn_config"] = lambda: config
            if self.kind == "fast path":
                # While somebody writes, all but their last answer has been heard.
                home.tell(choices[:-1])
                home.leaning()
                home.tell(choices[-1:])
                with CostMeter() as meter:
                    encoder = home.leaning()
                notes: dict[str, float | str] = {}
            else:
                home.tell(choices)
                with CostMeter() as meter:
                    notes = home.personalize(drafts=self.drafts)
                encoder = home.active() or generic
        size = sum(array.nbytes for array in encoder.arrays().values())
        return self.library.author(
            encoder,
            Cost(
                seconds=meter.seconds,
                seconds_before=before,
                flops=reading_flops(self.library, choices),
                peak_bytes=meter.peak_bytes,
                bytes_per_person=size,
                notes=notes,
            ),
        )


def reading_flops(library: Library, choices: Sequence[Comparison]) -> float:
    """Two operations per weight of the encoder's layers and token of prompt and response; attention left out."""
    arrays = library.penpal.clap.arrays
    weights = sum(a.size for name, a in arrays.items() if name.startswith("encoder.layers."))
    tokens = 0
    for choice in choices:
        prompt = len(library.sampler.ids(choice.messages))
        tokens += prompt + sum(
            len(library.sampler.tokenizer(side, add_special_tokens=False).input_ids)
            for side in (choice.chosen, choice.rejected)
        )
    return 2.0 * weights * tokens
