"""The home of somebody who has used PenPal for years: so many drafts and half as many answers, by a seed.

The schema is the program's own, search index and its triggers included; rows come in bulk and without waiting for the
disk, with the texts already read by the encoder, as they would be. A night's voice is a real file that the database
names. What the person likes is planted: one direction of the latent space.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from app.tui.first_run import note_tour_seen
from app.wiring import open_penpal
from benchmarks.life_texts import Texts
from core.files import file_sha256
from core.paths import Home
from core.protocols import Message, Sampling
from core.session import title_of
from core.store import Store
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from models.text_vectors import text_key

RATED, CHATTED, SCRIPTED = "rate", "chat", "write"
DAYS: tuple[tuple[str, str], ...] = (
    *[(RATED, "pick")] * 6, (RATED, "tie"), (RATED, "both_bad"), (RATED, "pick again"), (RATED, ""),
    (SCRIPTED, ""), (SCRIPTED, ""), (CHATTED, ""), (CHATTED, ""), (CHATTED, "pick"), (CHATTED, "tie"),
    (CHATTED, "accept"), (CHATTED, "pick undo"), (CHATTED, "pick edit accept"), (CHATTED, "pick accept"),
)  # fmt: skip
"""Some days of writing, over and over, each time in another order: of each turn, where it was and what was done."""
ROUND = 2 * len(DAYS)
"""Drafts in them."""
LONGEST_CONVERSATION = 6
NIGHT_EVERY = 500
"""Turns between two runs."""
SINCE_LAST_NIGHT = 20
"""Turns after the newest run."""
LAST_DAY = datetime(2026, 11, 20, 20, tzinfo=UTC)
TURN_EVERY = timedelta(minutes=29)
COMMIT_EVERY = 100
"""Turns in one transaction: the search index grows in small pieces, as in life."""
VERSION = 1
"""Of what a seed makes."""


@dataclass(frozen=True)
class Space:
    """What drafts and voices belong to."""

    backbone_id: str
    clap_id: str
    latent_size: int
    hidden_size: int


def lived_home(folder: Path, drafts: int, *, seed: int = 0) -> Home:
    """A home with so many drafts, made once; PenPal has been started in it before."""
    home, about = Home(folder), {"drafts": drafts, "seed": seed, "version": VERSION}
    mark = folder.with_name(f"{folder.name}.json")
    if mark.exists() and json.loads(mark.read_text()) == about:
        return home
    shutil.rmtree(folder, ignore_errors=True)
    with closing(open_penpal(home)) as penpal:
        penpal.writer()  # notes what it finds out about its backbone
        _ = penpal.text_encoder
        space = Space(penpal.backbone.id, penpal.clap.id, penpal.clap.latent_size, penpal.clap.hidden_size)
        note_tour_seen(penpal.store)
    fill(home, drafts, space, seed=seed)
    mark.write_text(json.dumps(about))
    return home


def fill(home: Home, drafts: int, space: Space, *, seed: int = 0) -> None:
    """Adds so many drafts (a multiple of `ROUND`), half as many acts, and the voices learned from them."""
    assert drafts % ROUND == 0
    with closing(Store(home.database)) as store:
        store.add_backbone(space.backbone_id, Path("backbone.gguf"))
    with closing(sqlite3.connect(home.database)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA foreign_keys = ON")
        _Life(home, db, space, drafts // 2, seed).live()
        db.commit()
    with closing(Store(home.database)) as store:
        store.count_lessons()


class _Life:
    def __init__(self, home: Home, db: sqlite3.Connection, space: Space, turns: int, seed: int) -> None:
        self.home, self.db, self.space, self.turns = home, db, space, turns
        self.texts, self.rng, self.dice = Texts(seed), random.Random(f"life {seed}"), np.random.default_rng(seed)
        taste = self.dice.standard_normal(space.latent_size)
        self.taste = taste / np.linalg.norm(taste)
        self.read: dict[str, np.ndarray] = {}
        """By key: the posterior mean of a text."""
        self.prompts: set[str] = set()
        """Keys of prompts that the encoder has read."""
        self.voice: str | None = None
        self.acts = 0
        self.conversation: list[Message] = []
        self.conversation_id = 0
        self.sampling = json.dumps(asdict(Sampling()))

    def live(self) -> None:
        """Turn by turn."""
        for number, (place, done) in enumerate(self._days()):
            self.now = LAST_DAY - (self.turns - number) * TURN_EVERY
            if (number % NIGHT_EVERY == 0 and number) or number == self.turns - SINCE_LAST_NIGHT:
                self._night()
            self._turn(place, done.split())
            if number % COMMIT_EVERY == 0:
                self.db.commit()
        self._keep_what_was_read()

    def _days(self) -> Iterator[tuple[str, str]]:
        rounds = self.turns // len(DAYS)
        for number in range(rounds):
            days = list(DAYS)
            if number < rounds - 1:  # the last conversation ends with a text that was kept: nothing waits for a choice
                self.rng.shuffle(days)
            yield from days

    def _turn(self, place: str, done: Sequence[str]) -> None:
        goes_on = place == CHATTED and 0 < len(self.conversation) < 2 * LONGEST_CONVERSATION and self.rng.random() < 0.7
        prompt = self.texts.old_prompt() if place == RATED else self.texts.new_prompt()
        if goes_on:
            conversation_id, prompt = self.conversation_id, self.texts.follow_up()
            messages = [*self.conversation, Message("user", prompt)]
        else:
            conversation_id = self._insert("conversations", title=title_of(prompt), origin=place)
            messages = [Message("user", prompt)]
        told = json.dumps([asdict(message) for message in messages])
        turn_id = self._insert("turns", conversation_id=conversation_id, prompt=prompt, messages=told)
        latents = self.dice.standard_normal((2, self.space.latent_size))
        written = [self.texts.draft() for _ in latents]
        ids = [self._draft(turn_id, side, z, text) for side, (z, text) in enumerate(zip(latents, written, strict=True))]
        liked = 3 * latents @ self.taste + self.dice.logistic(scale=0.5, size=2)
        best = int(liked.argmax())
        kept = self._do(done, turn_id, ids, written, best, blind=place == RATED)
        if done:
            self.prompts.add(text_key(messages, ""))
            for z, text in [*zip(latents, written, strict=True), *([(latents[best], kept)] if "edit" in done else [])]:
                self.read[text_key(messages, text)] = 0.7 * z + 0.3 * self.dice.standard_normal(len(z))
        if place == CHATTED:
            self.conversation_id, self.conversation = conversation_id, [*messages, Message("assistant", kept)]

    def _draft(self, turn_id: int, side: int, z: np.ndarray, text: str) -> int:
        return self._insert(
            "drafts", turn_id=turn_id, side=side, text=text, status="done", finish="stop",
            z=json.dumps(z.round(6).tolist()), encoder_id=self.voice, backbone_id=self.space.backbone_id,
            sampling=self.sampling, seed=self.rng.randrange(2**31), tokens=len(text.split()), duration_ms=2000,
        )  # fmt: skip

    def _do(
        self, done: Sequence[str], turn_id: int, ids: Sequence[int], texts: Sequence[str], best: int, *, blind: bool
    ) -> str:
        """The text that counts afterwards."""
        kept = texts[best]
        about: dict[str, Any] = {"turn_id": turn_id, "left_draft_id": ids[0] if blind else None}
        chosen, rejected = ids[best], ids[1 - best]
        for kind in done:
            match kind:
                case "pick" | "again":
                    row = {"kind": "pick", "draft_id": chosen, "other_draft_id": rejected, "again": kind == "again"}
                    row |= {"strength": self.rng.choice(["slight", "clear"])} if blind else {}
                case "edit":
                    kept = self.texts.own_version(kept)
                    row = {"kind": "edit", "draft_id": chosen, "text": kept}
                case "accept":
                    row = {"kind": "accept", "draft_id": chosen, "text": kept}
                case "undo":
                    row = {"kind": "undo", "undoes_id": self.acts}
                case _:
                    row = {"kind": kind, "draft_id": ids[0], "other_draft_id": ids[1]}
            self.acts = self._insert("feedback", **about, **row)
        return kept

    def _night(self) -> None:
        """A run of `personalize`: every third voice is put to use, and the newest."""
        answers = max(4, int(0.7 * self.acts))
        used = self.acts % 3 == 0 or self.now > LAST_DAY - 2 * SINCE_LAST_NIGHT * TURN_EVERY
        shift = 2 * self.taste + 0.1 * self.dice.standard_normal(len(self.taste))
        encoder = GaussianEncoder(Parts(shift, np.zeros(len(shift)), {}))
        file = self.home.encoders / "tonight.safetensors"
        encoder.save(file, {"backbone": self.space.backbone_id, "clap": self.space.clap_id})
        name = file_sha256(file)
        file.replace(file.with_name(f"{name}.safetensors"))
        reason = f"it foresees {int(0.8 * answers)} of {answers} choices it has not seen"
        traits = {of: {f"trait {i}": [0.1 * i, 0.05] for i in range(10)} for of in ("voice", "generic")}
        report = {
            "accuracy": 0.8, "accuracy_interval": [0.78, 0.82], "capacity": "shift", "left_out": 0, "traits": traits,
            "reason": f"activated: {reason}" if used else f"not activated: {reason}, which could be luck",
            "last_act": self.acts, "markdown": f"{name[:8]}.md", "seconds": {"read": 1.0, "check": 2.0, "train": 0.1},
        }  # fmt: skip
        self._insert(
            "encoders", id=name, file=f"{name}.safetensors", origin="personalized", parent_id=self.voice,
            backbone_id=self.space.backbone_id, clap_id=self.space.clap_id, pairs=answers,
            status="kept" if used else "rejected", report=json.dumps(report),
        )  # fmt: skip
        if used:
            self._insert("encoder_activations", encoder_id=name, reason=report["reason"])
            self.voice = name

    def _keep_what_was_read(self) -> None:
        """The cache, in the order of its keys, or it would take longer than all the rest."""
        log_variance = np.full(self.space.latent_size, -1.0, np.float32)
        means = ((key, np.concatenate([self.read[key].astype(np.float32), log_variance])) for key in sorted(self.read))
        features = (
            (key, self.dice.standard_normal(self.space.hidden_size, np.float32)) for key in sorted(self.prompts)
        )
        for space, vectors in ((self.space.clap_id, means), (f"{self.space.clap_id}:prompts", features)):
            rows = ((space, key, vector.tobytes()) for key, vector in vectors)
            self.db.executemany("INSERT INTO vectors (space, key, value) VALUES (?, ?, ?)", rows)

    def _insert(self, table: str, **row: Any) -> int:
        row["created_utc"] = self.now.isoformat(timespec="milliseconds")
        marks = ", ".join("?" * len(row))
        added = self.db.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
        return int(added.lastrowid or 0)
