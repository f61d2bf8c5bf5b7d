"""Takes a voice along after the backbone or its latent space changed: learned anew from the answers, or mapped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app.guests import IMPORTED
from app.learning import personalize
from app.new_voice import keep_voice
from app.old_space import OldSpace
from core.encoder_rows import MAPPED, MIGRATED
from core.errors import LearnError, PackError, UsageError
from core.evidence import Evidence
from core.run_lock import run_lock
from core.store import EncoderRecord
from core.voices import SHOWN, is_removed, usable_encoder
from models import learner, validation
from models.migrate import MIN_ANCHORS, Anchor, SpaceMap, agreement, fit_map, mapped, shipped_anchors, with_mapped_head
from models.personal_encoder import GaussianEncoder
from models.personalize import Share, rows_of, weighed

if TYPE_CHECKING:
    from app.wiring import PenPal
    from models.learner import Array, Parts
    from models.text_vectors import TextVectors

OWN_ANCHORS = 300
"""Of the person's latest pairs of drafts, beside the shipped ones: a few seconds to read."""
PAIRS_ASKED = 400
"""Of the latest, to say how much of a mapped voice was kept."""
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Migration:
    """What became of a voice."""

    old: EncoderRecord
    new: EncoderRecord
    how: Literal["learned anew", "mapped"]
    answers: int
    """That it was learned anew from, or that the mapped voice was asked about."""
    accuracy_before: float | None
    """Share of those that the old voice orders as the person did; held out, for one that learned from them."""
    accuracy: float | None
    """The same of the new one."""
    anchors: int
    """Pairs of texts that the map was fitted on."""
    agreement: float | None
    """Share of held-out anchors of which the mapped voice prefers the same text as before."""
    foreseen: float | None
    """Share of what differs between two texts in the old space that the new one shows, on held-out anchors."""
    notes: tuple[str, ...]
    """What could not come along."""
    activated: bool
    reason: str

    @property
    def kept(self) -> float | None:
        """New accuracy over the old one; None when there were no pairs to ask."""
        return self.accuracy / self.accuracy_before if self.accuracy and self.accuracy_before else None


def to_migrate(penpal: PenPal, name: str | None) -> EncoderRecord:
    """The voice that is named; else the active one, or the newest that lies in another space. Raises UsageError."""
    store, encoders = penpal.store, penpal.home.encoders
    if name is not None:
        record = usable_encoder(store, name, encoders)
        if record is None:
            raise UsageError("The generic voice is at home in every latent space: there is nothing to take along.")
        if penpal.fits(record):
            raise UsageError(f"Voice {record.id[:SHOWN]} is at home here already: there is nothing to take along.")
        return record
    active = store.active_encoder()
    found = [active] if active else []
    found += [e for e in reversed(store.encoders()) if e.status == "kept"]
    for record in found:
        if not penpal.fits(record) and not is_removed(record, encoders):
            return record
    raise UsageError("All your voices are at home in the backbone and the latent space in use: nothing to take along.")


def guest_from(
    penpal: PenPal, data: bytes, *, source: str, from_clap: Path | None = None, signed_by: str | None = None
) -> EncoderRecord:
    """Keeps a pack of another latent space, checked against that space, as a voice that can be migrated.

    Raises UsageError for one that fits this home anyway; PackError for a damaged one, or when its space is not here.
    """
    from exporters.pack import Space, import_pack, looked_at, misfit, pack_of

    file, manifest = looked_at(data, source=source)
    if misfit(manifest, penpal.space) is None:
        raise UsageError(f"{source} is at home here: 'penpal import {source}' takes it.")
    named = EncoderRecord(file.sha256, "", IMPORTED, None, manifest.backbone, manifest.clap, 0, "kept", {}, "")
    with closing(OldSpace(penpal, named, from_clap)) as old:
        # A released space that is only remembered knows no layers that a voice's own could be compared with.
        if old.latent_size is None or (manifest.capacity == "layers" and not old.is_whole):
            raise PackError(f"{source} cannot be taken along: {old.missing}.")
        space = Space(manifest.backbone, manifest.clap, old.latent_size, old.layers)
        pack = pack_of(data, space, source=source)
        return import_pack(pack, penpal.store, penpal.home.encoders, signed_by=signed_by)


def migrate(
    penpal: PenPal,
    record: EncoderRecord,
    *,
    from_clap: Path | None = None,
    drafts: bool = True,
    progress: Progress = lambda stage, share: None,
) -> Migration:
    """Makes a voice of this home's latent space out of one of another; the old one stays as it is.

    One of the person's own is learned anew from their answers. Any other, and one without enough answers, is mapped.
    It becomes the active one if the old one was, or if the generic one is. `drafts` checks that one that was learned
    anew reads well. Raises PackError when a voice can neither be learned nor mapped.
    """
    with closing(OldSpace(penpal, record, from_clap)) as space:
        is_own = record.made in ("personalized", MIGRATED)
        if is_own:
            try:
                return _learned_anew(penpal, space, drafts, progress)
            except LearnError as error:
                too_little = str(error).rstrip(".")
                if not penpal.store.evidence(backbone_id=None):
                    too_little = "the answers that it was learned from are gone"
            return _mapped(penpal, space, progress, (f"it was not learned anew: {too_little}",))
        return _mapped(penpal, space, progress, ())


def _learned_anew(penpal: PenPal, space: OldSpace, drafts: bool, progress: Progress) -> Migration:
    record = space.record
    report = personalize(penpal, drafts=drafts, came_from=record, progress=progress)
    made = next(each for each in penpal.store.encoders() if each.id == report.encoder_id)
    answers = [e for e in weighed(penpal.store.evidence(backbone_id=None), penpal.text_vectors()) if e.weight > 0]
    before = _held_out_before(penpal, space, answers)
    if before is None:
        told = record.report.get("accuracy")
        before = float(told) if isinstance(told, int | float) else None
    return Migration(
        record, made, "learned anew", report.pairs, before, report.accuracy, 0, None, None, (), report.activated,
        report.reason,
    )  # fmt: skip


def _held_out_before(penpal: PenPal, space: OldSpace, answers: list[Evidence]) -> float | None:
    """What the old space foresees of the same answers, each kept from its training; None when it cannot be asked."""
    pairs = [e for e in answers if e.chosen is not None and e.rejected is not None]
    if not pairs or len(space.known([as_anchor(e) for e in pairs])) < len(pairs):
        return None
    vectors = space.vectors(len(space.encoder().parts.mean))
    config = replace(penpal.learn_config(), known_weight=0.0)
    rows = rows_of(pairs, vectors, config, features=False)
    _, tried = validation.cross_validated(rows, config)
    return max(Share(*validation.accuracy(candidate.margins, rows)).share for candidate in tried)


# --- by anchors -------------------------------------------------------------------------------------------------


def _mapped(penpal: PenPal, space: OldSpace, progress: Progress, notes: tuple[str, ...]) -> Migration:
    record, store = space.record, penpal.store
    with run_lock(penpal.home):
        old = space.encoder()
        answers = store.evidence(backbone_id=None)
        # The map shows a little of the texts that it was fitted on: none of the person's for a voice that hides them.
        own = [] if record.report.get("epsilon") else _own_anchors(answers)
        anchors = space.known([*own, *shipped_anchors()])
        if len(anchors) < MIN_ANCHORS:
            raise PackError(f"Voice {record.id[:SHOWN]} cannot be taken along: {space.missing}.")
        size = len(old.parts.mean)
        before = space.vectors(size, progress=lambda share: progress("Reading texts in the old space", share / 2))
        after = penpal.text_vectors(progress=lambda share: progress("Reading them in the new one", 0.5 + share / 2))
        old_differences, new_differences = differences(before, anchors), differences(after, anchors)
        through = fit_map(old_differences, new_differences)
        parts, more = _moved(old, space, before, after, through, anchors)
        parts = learner.within(parts, penpal.learn_config().max_norm)
        asked = _asked(penpal, space, answers, old, before, after, parts)
        share = agreement(old.parts, old_differences, through)
        report: dict[str, Any] = {
            name: record.report[name] for name in ("last_act", "started_from", "epsilon") if name in record.report
        }
        report["capacity"] = "head" if parts.head is not None else "contexts" if parts.contexts else "shift"
        report["reason"] = (
            f"taken along from voice {record.id[:SHOWN]} by {len(anchors)} pairs of texts: of {share:.0%} of them it "
            "prefers the same one"
        )
        made = keep_voice(
            penpal, GaussianEncoder(parts), made_how=MAPPED, pairs=record.pairs, report=report, parent_id=record.id
        )
        active = store.active_encoder()
        if activated := active is None or active.id == record.id:
            store.activate_encoder(made.id, report["reason"])
        count, before_share, after_share = asked
        return Migration(
            record, made, "mapped", count, before_share, after_share, len(anchors), share, through.foreseen,
            (*notes, *more), activated, report["reason"],
        )  # fmt: skip


def _own_anchors(answers: list[Evidence]) -> list[Anchor]:
    """The person's latest pairs, each once."""
    pairs = [as_anchor(e) for e in answers if e.chosen and e.rejected]
    return list(dict.fromkeys(reversed(pairs)))[:OWN_ANCHORS]


def as_anchor(evidence: Evidence) -> Anchor:
    """Both texts of a pair."""
    assert evidence.chosen is not None
    assert evidence.rejected is not None
    return Anchor(evidence.messages, evidence.chosen.text, evidence.rejected.text)


def differences(vectors: TextVectors, anchors: list[Anchor]) -> Array:
    """[N, D]: of the posterior means of each anchor's two texts."""
    means = vectors.posteriors([(a.messages, text) for a in anchors for text in (a.first, a.second)]).mean
    found: Array = (means[::2] - means[1::2]).astype(float)
    return found


def _moved(
    old: GaussianEncoder, space: OldSpace, before: TextVectors, after: TextVectors, through: SpaceMap,
    anchors: list[Anchor],
) -> tuple[Parts, tuple[str, ...]]:  # fmt: skip
    """The voice in the new space, and what could not come along."""
    parts = mapped(old.parts, through)
    if not old.reads_prompts:
        return parts, ()
    if not space.is_whole:
        return parts, (f"how it follows the prompt was left behind: {space.missing}",)
    reading = before if old.layers is None else before.with_layers(old.layers)
    prompts = [a.messages for a in anchors]
    parts, foreseen = with_mapped_head(parts, through, old.parts, reading.features(prompts), after.features(prompts))
    what = "its own layers became" if old.layers else "how it follows the prompt became"
    if parts.head is None:
        return parts, ("how it follows the prompt was left behind: the new space does not show it",)
    return parts, (f"{what} a head on the new space, which foresees {foreseen:.0%} of it",)


def _asked(
    penpal: PenPal, space: OldSpace, answers: list[Evidence], old: GaussianEncoder, before: TextVectors,
    after: TextVectors, parts: Parts,
) -> tuple[int, float | None, float | None]:  # fmt: skip
    """How many of the person's latest pairs were asked, and what of them the voice orders as they did, old and new."""
    pairs = [e for e in answers if e.weight > 0 and e.is_pair][-PAIRS_ASKED:]
    known = set(space.known([as_anchor(e) for e in pairs]))
    pairs = [e for e in pairs if as_anchor(e) in known]
    if not pairs or (old.reads_prompts and not space.is_whole):
        return 0, None, None
    config = penpal.learn_config()
    shares = []
    for vectors, voice, layers in ((before, old.parts, old.layers), (after, parts, None)):
        rows = rows_of(pairs, vectors, config, features=False)
        if voice.head is not None:
            reading = vectors.with_layers(layers) if layers else vectors
            rows = replace(rows, features=reading.features([e.messages for e in pairs]))
        shares.append(Share(*validation.accuracy(voice.margins(rows, config.max_norm), rows)).share)
    return len(pairs), shares[0], shares[1]


# --- in words ---------------------------------------------------------------------------------------------------


def told(done: Migration) -> Iterator[str]:
    """Lines for a person."""
    old, new = done.old.id[:SHOWN], done.new.id[:SHOWN]
    if done.how == "learned anew":
        yield f"Voice {old} was learned anew from your {done.answers} answers: it is voice {new} now."
    else:
        yield f"Voice {old} was taken along by {done.anchors} pairs of texts: it is voice {new} now."
        yield f"Of {done.agreement:.0%} of such pairs it prefers the same text as before (of those kept from it)."
    if done.accuracy is not None and done.accuracy_before is not None:
        which = (
            "choices that were kept from it" if done.how == "learned anew" else f"your latest {done.answers} choices"
        )
        kept = "nothing was lost" if done.accuracy >= done.accuracy_before else f"{done.kept or 0:.0%} of that was kept"
        yield f"It foresees {done.accuracy:.0%} of {which}; before, it was {done.accuracy_before:.0%}: {kept}."
    for note in done.notes:
        yield f"Note: {note}."
    if done.activated:
        yield "It is in use now; the old one is still on your list."
    else:
        reason = f" ({done.reason})" if done.how == "learned anew" else ""
        yield f"It is not in use{reason}: 'penpal encoder use {new}' changes that."
