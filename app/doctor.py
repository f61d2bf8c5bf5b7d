"""What `penpal doctor` measures: versions, database, weights, speed, and whether both decoders write the same drafts.

Each part is examined although another one failed, and no text of the person is in the report.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from app.devices import Task, reading_speed, tasks, ways_to_be_faster
from core.errors import PenPalError
from core.protocols import Decoder, DraftRequest, Message, Sampling

if TYPE_CHECKING:
    from app.wiring import PenPal

PACKAGES = ("penpal", "llama-cpp-python", "torch", "onnxruntime", "transformers", "textual", "sqlite-utils")
SPEED_TOKENS = 32
_PREFILL_TEXT = "Tell me what to pack for a week in the mountains. " * 30


@dataclass
class DoctorReport:
    """One machine's state of health. What could not be found out is None, and `problems` says why."""

    versions: dict[str, str]
    home: str
    device: str | None = None
    database_rows: dict[str, int] = field(default_factory=dict)
    active_encoder: str | None = None
    backbone_path: str | None = None
    backbone_id: str | None = None
    backbone_bytes: int | None = None
    clap_id: str | None = None
    tokens_per_second: float | None = None
    prefill_tokens_per_second: float | None = None
    texts_per_second: float | None = None
    """Read by the encoder that learning uses."""
    tasks: list[Task] = field(default_factory=list)
    """What computes what, and why."""
    faster: list[str] = field(default_factory=list)
    """What would make it faster."""
    parity_kl: float | None = None
    """Nats per token between torch and llama.cpp on the same latents."""
    other_latents_kl: float | None = None
    """Nats per token between different latents."""
    problems: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.problems

    def lines(self) -> Iterator[tuple[str, str]]:
        """Name and value of everything but the problems, for a person."""
        yield from self.versions.items()
        yield "home", self.home
        yield "database", ", ".join(f"{count} {table}" for table, count in self.database_rows.items()) or "unknown"
        yield "voice", self.active_encoder or "unknown"
        yield "backbone", self.backbone_path or "unknown"
        yield "  SHA-256", self.backbone_id or "unknown"
        yield "  size", "unknown" if self.backbone_bytes is None else f"{self.backbone_bytes / 1e6:.0f} MB"
        yield "CLaP SHA-256", self.clap_id or "unknown"
        yield "device", self.device or "unknown"
        yield "writing", _measured(self.tokens_per_second, ".0f", "tokens/s")
        yield "reading", _measured(self.prefill_tokens_per_second, ".0f", "tokens/s")
        yield "learning reads", _measured(self.texts_per_second, ".0f", "texts/s")
        for task in self.tasks:
            yield task.name, f"{task.device}: {task.why}"
        yield "torch = llama.cpp", _measured(self.parity_kl, ".4f", "nats/token apart")
        yield "two latents", _measured(self.other_latents_kl, ".4f", "nats/token apart")
        for way in self.faster:
            yield "faster with", way


def examine(penpal: PenPal) -> DoctorReport:
    """Looks at every part; takes about half a minute, most of it torch."""
    report = DoctorReport({"python": platform.python_version(), **_versions()}, str(penpal.home.folder))
    parts = (
        _look_at_database, _look_at_weights, _measure_speed, _look_at_devices, _compare_decoders, _look_at_voice,
    )  # fmt: skip
    for part in parts:
        _examine_part(part, penpal, report)
    return report


def _examine_part(part: Callable[[PenPal, DoctorReport], None], penpal: PenPal, report: DoctorReport) -> None:
    try:
        part(penpal, report)
    except PenPalError as error:
        if str(error) not in report.problems:
            report.problems.append(str(error))


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def _look_at_database(penpal: PenPal, report: DoctorReport) -> None:
    report.problems += [f"The database is damaged: {line}." for line in penpal.store.check()]
    report.database_rows = penpal.store.counts()
    active = penpal.store.active_encoder()
    report.active_encoder = active.id if active else "generic"


def _look_at_weights(penpal: PenPal, report: DoctorReport) -> None:
    report.backbone_path, report.backbone_id = str(penpal.backbone.path), penpal.backbone.id
    report.backbone_bytes = penpal.backbone.path.stat().st_size
    report.clap_id = penpal.clap.id


def _measure_speed(penpal: PenPal, report: DoctorReport) -> None:
    report.device = penpal.decoder.device
    report.prefill_tokens_per_second, report.tokens_per_second = speed(penpal.decoder)


def _look_at_devices(penpal: PenPal, report: DoctorReport) -> None:
    report.tasks = tasks(penpal)
    report.faster = list(ways_to_be_faster(penpal, report.versions["llama-cpp-python"]))
    report.texts_per_second = reading_speed(penpal)


def speed(decoder: Decoder) -> tuple[float, float]:
    """Prompt tokens and draft tokens per second, of one draft."""
    messages = [Message("user", f"{time.time()} {_PREFILL_TEXT}")]  # no earlier prompt starts like this: all is read
    sampling = Sampling(max_tokens=SPEED_TOKENS)
    read = decoder.count_tokens(messages)
    started = first = time.perf_counter()
    tokens = 0
    for chunk in decoder.generate(messages, [DraftRequest(seed=0)], sampling):
        if not tokens:
            first = time.perf_counter()
        tokens = chunk.tokens
    wrote_s = time.perf_counter() - first
    return read / max(first - started, 1e-9), (tokens - 1) / max(wrote_s, 1e-9)


def _compare_decoders(penpal: PenPal, report: DoctorReport) -> None:
    if not penpal.decoder.has_latents:
        return  # _look_at_voice says why
    from models.backbone import ChatTemplate
    from models.decoder_torch import open_torch_decoder
    from models.parity import MAX_KL, MIN_CONTRAST, parity_between

    clap = penpal.clap
    template = ChatTemplate(penpal.backbone.metadata.get("tokenizer.chat_template"))
    reference = open_torch_decoder(penpal.backbone, clap.arrays, template)
    parity = parity_between(reference, penpal.decoder, clap.latent_size)
    penpal.store.add_parity_check(penpal.runtime, penpal.backbone.id, clap.id, parity.same, parity.passed)
    report.parity_kl, report.other_latents_kl = parity.same, parity.other
    if parity.same >= MAX_KL:
        report.problems.append(
            "torch and llama.cpp do not write the same drafts on the same latents: until that is repaired, drafts are "
            "generic. Install the pinned llama-cpp-python again: 'make setup'."
        )
    elif not parity.passed:
        report.problems.append(
            f"Two latents write almost the same drafts: {parity.other:.4f} nats per token apart, "
            f"{MIN_CONTRAST * parity.same:.4f} are needed. This CLaP was not trained enough, and drafts are generic."
        )


def _look_at_voice(penpal: PenPal, report: DoctorReport) -> None:
    """Last, since whether latents are trusted follows from the comparison."""
    penpal.voice()  # raises when the active encoder is missing, damaged, or of another backbone
    if penpal.latents_off:
        report.problems.append(f"Drafts are generic: {penpal.latents_off}")


def _measured(value: float | None, form: str, unit: str) -> str:
    return "not measured" if value is None else f"{value:{form}} {unit}"
