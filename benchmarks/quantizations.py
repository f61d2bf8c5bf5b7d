"""What each format of the backbone costs: latent drafts, fluency, tastes, speed and size, against torch in float32.

    python -m benchmarks.quantizations [--source FILE_OR_FOLDER] [--prompts 12] [--out docs/benchmarks] [--json]

Without `--source` the embedded backbone, which was published as Q4_1: larger formats of it hold the same weights in
more bytes, and smaller ones lose twice, which the table says. With a model's folder (see `penpal backbone quantize`)
every format comes from the weights as they were trained; the latent space stays the embedded backbone's, so it must be
of the same model. The reference is torch in float32 over the source.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.doctor import speed
from app.tastes import TASTES
from app.wiring import PenPal, open_penpal
from benchmarks.pages import write_page
from benchmarks.personalize import cpu_name
from core.paths import Home
from core.protocols import DraftRequest, Latent, Message, Sampling
from exporters.quantize import quantize, read_kinds
from models.backbone import Backbone, ChatTemplate, open_backbone
from models.checkpoint import Arrays
from models.decoder_llama import LlamaDecoder
from models.decoder_torch import open_torch_decoder
from models.fluency import WrittenDraft, perplexity, write_drafts
from models.latent_kv import LatentAdapter, backbone_projections
from models.llama_runtime import LlamaModel
from models.parity import kl
from models.writing_tasks import writing_tasks

KINDS = "BF16,F16,Q8_0,Q5_K_M,Q4_K_M,Q4_0"
PEOPLE = ("first-person", "positive", "short-sentences")
LEARNED_FROM = 24
"""Prompts, of four drafts each, from which each person's direction is found."""
LEAN = 4.0
"""Length of a person's latent: a voice that was learned from some hundred choices."""
TOKENS = 48
READ_TEXTS = 8
"""Texts whose likelihood, and whose latents' effect, is compared."""


@dataclass(frozen=True)
class Row:
    """One format."""

    kind: str
    size_mb: float
    tensors: dict[str, int]
    kl: float
    """Nats per token between torch and this format on the same latents."""
    perplexity: float
    """Of texts that torch's reference would write, in the generic voice."""
    wins: dict[str, float]
    """Share of prompts where the leaning draft pleases its person more than the generic one; a tie is half."""
    writing: float
    """Tokens a second, of one draft."""
    reading: float
    """Prompt tokens a second."""


@dataclass(frozen=True)
class Material:
    """What every format is measured on, the same for all."""

    texts: list[tuple[list[Message], str, Latent]]
    """Drafts of the source, with the latents that made them."""
    people: dict[str, Latent]
    prompts: list[str]


@contextmanager
def decoder_over(path: Path, clap: Arrays, folder: Path) -> Iterator[LlamaDecoder]:
    """llama.cpp over one file, with the adapter over its own projections."""
    backbone = Backbone(path, path.stem)
    projections, about = backbone_projections(path, folder / f"{path.stem}.projections.safetensors")
    model = LlamaModel(path)
    adapter = LatentAdapter(clap, projections, head_size=about["head_size"], rope_base=about["rope_base"])
    template = ChatTemplate(model.metadata("tokenizer.chat_template"))
    decoder = LlamaDecoder(model, template, adapter, backbone_id=backbone.id)
    try:
        yield decoder
    finally:
        decoder.close()


def made_material(decoder: LlamaDecoder, latent_size: int, prompts: int) -> Material:
    """Drafts at latents of the prior; each person's latent is the direction in which their score of these grows."""
    random = np.random.default_rng(20261121)
    sampling = Sampling(max_tokens=TOKENS)
    latents: list[NDArray[np.float32]] = []
    drafts: list[str] = []
    texts = []
    for i, task in enumerate(writing_tasks("train", seed=7, limit=LEARNED_FROM)):
        messages = [Message("user", task)]
        drawn = random.standard_normal((4, latent_size), dtype=np.float32)
        written = [draft.text for draft in write_drafts(decoder, messages, list(drawn), sampling, i)]
        latents.append(drawn)
        drafts += written
        texts.append((messages, written[0], drawn[0]))
    design = np.concatenate(latents).astype(np.float64)
    people = {name: leaning(design, [TASTES[name].score(text) for text in drafts]) for name in PEOPLE}
    return Material(texts[:READ_TEXTS], people, writing_tasks("held_out", seed=7, limit=prompts))


def leaning(latents: NDArray[np.float64], scores: Sequence[float]) -> Latent:
    """[D], of length LEAN: the ridge regression of scores [N] on latents [N, D]."""
    centered = np.array(scores) - np.mean(scores)
    direction = np.linalg.solve(latents.T @ latents + len(latents) * np.eye(latents.shape[1]), latents.T @ centered)
    return (LEAN * direction / max(float(np.linalg.norm(direction)), 1e-12)).astype(np.float32)


def measured(
    decoder: LlamaDecoder, material: Material, reference: list[NDArray[np.float32]], kind: str, path: Path,
    tensors: dict[str, int],
) -> Row:  # fmt: skip
    """One row of the table."""
    apart = [
        kl(expected, decoder.log_probs(messages, text, z))
        for expected, (messages, text, z) in zip(reference, material.texts, strict=True)
    ]
    read, written = speed(decoder)
    return Row(
        kind, path.stat().st_size / 1e6, tensors, float(np.mean(apart)),
        perplexity(decoder, [WrittenDraft(tuple(messages), text) for messages, text, _ in material.texts]),
        wins(decoder, material), written, read,
    )  # fmt: skip


def wins(decoder: LlamaDecoder, material: Material) -> dict[str, float]:
    """By person."""
    names = list(material.people)
    found: dict[str, list[float]] = {name: [] for name in names}
    for i, prompt in enumerate(material.prompts):
        requests = [DraftRequest(i, np.zeros_like(material.people[names[0]]))]
        requests += [DraftRequest(i, material.people[name]) for name in names]
        texts = [""] * len(requests)
        for chunk in decoder.generate([Message("user", prompt)], requests, Sampling(max_tokens=TOKENS)):
            texts[chunk.draft] += chunk.text
        for name, text in zip(names, texts[1:], strict=True):
            own, generic = TASTES[name].score(text), TASTES[name].score(texts[0])
            found[name].append(0.5 + 0.5 * float(np.sign(own - generic)))
    return {name: float(np.mean(shares)) for name, shares in found.items()}


def measure(penpal: PenPal, source: Path | None, prompts: int, folder: Path) -> dict[str, Any]:
    """All formats, one after the other."""
    clap, latent_size = penpal.clap.arrays, penpal.clap.latent_size
    original = source or penpal.backbone.path
    if original.is_dir():
        [dense] = quantize(original, folder, ["F32"])
        original = dense.path
    with decoder_over(original, clap, folder) as decoder:
        material = made_material(decoder, latent_size, prompts)
        template = ChatTemplate(decoder.model.metadata("tokenizer.chat_template"))
    torch_decoder = open_torch_decoder(open_backbone(original), clap, template)
    reference = [torch_decoder.log_probs(messages, text, z) for messages, text, z in material.texts]
    del torch_decoder
    rows, requantized = [], None
    for written in quantize(original, folder / "formats", read_kinds(KINDS)):
        requantized = written.requantized_from
        print(written.told, file=sys.stderr)
        with decoder_over(written.path, clap, folder) as decoder:
            rows.append(measured(decoder, material, reference, written.kind, written.path, written.tensors))
        written.path.unlink()
    if requantized:
        from exporters.quantize import tensor_types

        with decoder_over(original, clap, folder) as decoder:
            as_published = measured(decoder, material, reference, requantized, original, tensor_types(original))
            rows.insert(0, as_published)
    return {
        "machine": cpu_name(),
        "llama_cpp": importlib.metadata.version("llama-cpp-python"),
        "source": original.name,
        "requantized_from": requantized,
        "prompts": prompts,
        "rows": [asdict(row) for row in rows],
    }


_TWICE = """The source was published as {before} (the first row). Larger formats hold the same weights in more bytes: no
better, at most faster. Smaller ones were quantized twice, so they lose more than they would from the weights as they
were trained. Rows of 576 weights are no multiple of 256, which the K formats need: most of their tensors fall back to
another type (`tensors`)."""

_COLUMNS = """*KL*: nats per token from torch in float32, on the same latents. *Perplexity*: of drafts of the source,
under the backbone alone. *Wins*: of a draft that leans to a person's taste over the generic one, a tie being half, for
{prompts} prompts that nothing was learned from. *Tokens/s*: one draft; reading a prompt."""


def as_markdown(found: dict[str, Any], command: str) -> str:
    """The page in docs/benchmarks."""
    lines = [
        "# Formats of the backbone",
        "",
        f"`{command}` ({found['machine']}, llama-cpp-python {found['llama_cpp']}, {found['source']})",
        "",
    ]
    if before := found["requantized_from"]:
        lines += [_TWICE.format(before=before), ""]
    names = [f"wins: {TASTES[name].description}" for name in PEOPLE]
    columns = ["format", "MB", "KL", "perplexity", *names, "tokens/s", "reading", "tensors"]
    lines += [_COLUMNS.format(**found), ""]
    lines += [f"| {' | '.join(columns)} |", f"| {' | '.join(['---'] * len(columns))} |"]
    for row in found["rows"]:
        shares = " | ".join(f"{row['wins'][name]:.0%}" for name in PEOPLE)
        types = ", ".join(f"{count} {kind}" for kind, count in row["tensors"].items())
        lines.append(
            f"| {row['kind']} | {row['size_mb']:.0f} | {row['kl']:.4f} | {row['perplexity']:.2f} | {shares} "
            f"| {row['writing']:.0f} | {row['reading']:.0f} | {types} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures and prints, or writes the page and its numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        penpal = open_penpal(Home(Path(folder) / "home"))
        try:
            found = measure(penpal, options.source, options.prompts, Path(folder))
        finally:
            penpal.close()
    page = as_markdown(found, f"python -m benchmarks.quantizations --prompts {options.prompts}")
    if options.out:
        write_page(options.out, "quantizations", page, found)
    print(json.dumps(found, indent=1) if options.json else page)


if __name__ == "__main__":
    main()
