"""Commands of whoever publishes a backbone: pretrain its latent space, measure it."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.output import AsJson, print_json
from core.errors import UsageError

if TYPE_CHECKING:
    from models.backbone import Backbone
    from models.pretrain import PretrainConfig

group = typer.Typer(no_args_is_help=True, help="Pretrain and measure a backbone's latent space.")


def _tell(line: str) -> None:
    typer.echo(line, file=sys.stderr)


Out = Annotated[Path, typer.Option(help="Folder for samples, checkpoints and the result.")]
Prompts = Annotated[int, typer.Option(min=0, help="Made-up writing tasks to sample responses for.")]
Further = Annotated[
    int, typer.Option(min=0, help="Second turns, and tasks with a text pasted in, made from the first responses.")
]
Responses = Annotated[int, typer.Option(min=1, help="Responses to each bare prompt.")]
Styled = Annotated[int, typer.Option(min=0, max=20, help="Responses on top that are asked for in a style in words.")]
Tokens = Annotated[int, typer.Option(min=8, max=256, help="The longest response.")]
Own = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Prompts of your own, on top: a text file with one a line, or a .jsonl file whose lines have a field "
        "'prompt', or 'text' for a text to be continued.",
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Training steps, one prompt each, about 0.8 s on two cores.")]
WarmSteps = Annotated[int, typer.Option(min=0, help="Steps of the warm start.")]
Seed = Annotated[int, typer.Option(help="Decides every random number.")]
PublishedFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Measure this published latent space instead of the one in use, and write the numbers into its card.",
    ),
]


@group.command()
def sample(
    out: Out,
    prompts: Prompts = 1472,
    further: Further = 512,
    responses: Responses = 3,
    styled: Styled = 3,
    max_tokens: Tokens = 128,
    own: Own = None,
    seed: Seed = 100_000,
) -> None:
    """Sample the backbone's responses to writing tasks: what the latent space is trained on."""
    from app.cli.prompts import read_conversations
    from app.wiring import open_penpal
    from models.publish import SampleConfig
    from models.publish import sample as run

    config = SampleConfig(prompts, further, responses, styled, max_tokens, seed)
    asked = read_conversations(own) if own else []
    with closing(open_penpal()) as penpal:
        rows = run(penpal.backbone, out, config, own=asked, report=_tell)
    typer.echo(f"{sum(len(row.responses) for row in rows)} responses to {len(rows)} prompts in {out}")


@group.command()
def train(
    out: Out,
    steps: Steps = 3800,
    warm_start: Annotated[
        str, typer.Option(metavar="KIND", help="'bag of words', 'skip connection' (the reference's) or 'none'.")
    ] = "bag of words",
    warm_steps: WarmSteps = 250,
    negatives: Annotated[
        int, typer.Option(min=1, max=31, help="Latents each response is contrasted with; K - 1 is the paper's K x K.")
    ] = 1,
    responses: Annotated[int, typer.Option("--k", min=2, max=32, help="K: responses of a prompt in one step.")] = 4,
    kl: Annotated[str, typer.Option(metavar="KIND", help="'marginal' (the paper's) or 'standard'.")] = "marginal",
    contrastive: Annotated[bool, typer.Option(help="Train with the contrastive term.")] = True,
    latent_before_prompt: Annotated[
        bool, typer.Option("--latent-before-prompt", help="As in the paper; PenPal's decoder cannot draft with it.")
    ] = False,
    at_once: Annotated[int, typer.Option(min=1, help="Prompts of one forward pass: 8 or more fill a GPU.")] = 1,
    update: Annotated[int, typer.Option(min=1, help="Prompts of one update of the weights.")] = 4,
    seed: Seed = 0,
) -> None:
    """Train encoder and adapter (CLaP) on what was sampled. Run it again to go on after an interruption.

    On several GPUs or machines: accelerate launch -m app.cli backbone train --out DIR --at-once 8
    """
    from app.wiring import open_penpal
    from models.publish import train as run

    config = _pretrain_config(
        steps=steps, warm_start=warm_start, warm_steps=warm_steps, negatives=negatives, responses=responses, kl=kl,
        latent_place="before prompt" if latent_before_prompt else "after prompt", accumulate=update, seed=seed,
        **({} if contrastive else {"contrastive_weight": 0.0}),
    )  # fmt: skip
    with closing(open_penpal()) as penpal:
        typer.echo(run(penpal.backbone, out, config, at_once=at_once, report=_tell))


def _pretrain_config(**settings: Any) -> PretrainConfig:
    """Raises UsageError, naming the setting, for a word that it does not know."""
    from pydantic import TypeAdapter, ValidationError

    from models.pretrain import PretrainConfig

    try:
        return TypeAdapter(PretrainConfig).validate_python(settings)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{str(first['loc'][0]).replace('_', '-')}: {first['msg']}.") from error


@group.command()
def publish(out: Out) -> None:
    """Make a folder that can be shared, `OUT/published`: weights, hashes, training log and model card."""
    from app.wiring import open_penpal
    from models.publish import PUBLISHED, with_parity

    trained = out / "clap.safetensors"
    if not trained.is_file():
        raise UsageError(f"{out} holds no trained weights: run 'penpal backbone train --out {out}' first.")
    with closing(open_penpal()) as penpal:
        typer.echo(_published(penpal.backbone, with_parity(penpal.backbone, trained, out / PUBLISHED), out))


def _published(backbone: Backbone, clap: Path, out: Path) -> Path:
    from exporters.published import LOG, write_published
    from models.publish import SAMPLED_WITH

    settings = out / SAMPLED_WITH
    sampling = json.loads(settings.read_text()) if settings.exists() else {}
    return write_published(clap.parent, clap, backbone, sampling=sampling, log=out / LOG).folder


@group.command()
def pretrain(
    out: Out,
    prompts: Prompts = 1472,
    further: Further = 512,
    max_tokens: Tokens = 128,
    steps: Steps = 3800,
    warm_steps: WarmSteps = 250,
    seed: Seed = 0,
) -> None:
    """Sample, train and publish, one after the other. Run it again to go on after an interruption."""
    from app.wiring import open_penpal
    from models.publish import SampleConfig, sample_and_train

    sampling = SampleConfig(prompts=prompts, further=further, max_tokens=max_tokens)
    with closing(open_penpal()) as penpal:
        config = _pretrain_config(steps=steps, warm_steps=warm_steps, seed=seed)
        clap = sample_and_train(penpal.backbone, out, sampling, config, report=_tell)
        typer.echo(_published(penpal.backbone, clap, out))


@group.command(name="eval")
def evaluate(
    prompts: Annotated[int, typer.Option(min=4, help="Held-out prompts.")] = 64,
    max_tokens: Tokens = 128,
    published: PublishedFolder = None,
    as_json: AsJson = False,
) -> None:
    """Measure the latent space on held-out prompts: contrastive accuracy, fluency, active dimensions."""
    from dataclasses import asdict

    from app.wiring import open_penpal
    from exporters.published import read_published, with_numbers
    from models.publish import evaluate as run

    with closing(open_penpal(clap=_clap_of(published))) as penpal:
        report = run(
            penpal.backbone,
            penpal.clap.arrays,
            penpal.decoder,
            penpal.home.runs / "eval",
            prompts=prompts,
            max_tokens=max_tokens,
            report=_tell,
        )
        if published:
            with_numbers(read_published(published), numbers=asdict(report))
        if as_json:
            print_json(asdict(report))
        else:
            for name, value in asdict(report).items():
                typer.echo(f"{name:34} {value:.3f}" if isinstance(value, float) else f"{name:34} {value}")


@group.command()
def control(
    samples: Annotated[
        Path, typer.Option(help="Folder of 'penpal backbone sample': directions are fitted on its responses.")
    ],
    prompts: Annotated[int, typer.Option(min=4, help="Held-out prompts, five drafts each and property.")] = 48,
    tokens: Annotated[
        list[int] | None,
        typer.Option(min=8, max=512, help="Longest drafts; given again, several lengths.  [default: 48]"),
    ] = None,
    limit: Annotated[int, typer.Option(min=50, help="Training prompts whose responses are read.")] = 1000,
    published: PublishedFolder = None,
    as_json: AsJson = False,
) -> None:
    """Measure what can be steered: sentiment, questions, sentence length, ... and what it costs in fluency."""
    from dataclasses import asdict

    from app.wiring import open_penpal
    from exporters.published import read_published, with_numbers
    from models.publish import measure_control, read_samples

    rows = read_samples(samples)[:limit]
    with closing(open_penpal(clap=_clap_of(published))) as penpal:
        found = measure_control(
            penpal.backbone,
            penpal.clap.arrays,
            penpal.decoder,
            rows,
            prompts=prompts,
            tokens=tokens or [48],
            report=_tell,
        )
        told = {str(length): [asdict(row) for row in steered] for length, steered in found.items()}
        if published:
            with_numbers(read_published(published), control=told)
    if as_json:
        print_json(told)
        return
    for length, steered in found.items():
        typer.echo(f"{f'{length} tokens':18}{'d':>6}{'length':>8}{'perplexity':>12}{'generic':>9}{'r':>7}")
        for row in steered:
            typer.echo(
                f"{row.property:18}{row.effect:6.2f}{row.length:8.0f}{row.perplexity:12.2f}"
                f"{row.perplexity_generic:9.2f}{row.correlation:7.2f}"
            )


@group.command()
def sameness(
    prompts: Annotated[
        int, typer.Option(min=8, help="Writing tasks, four drafts each; about a second per task.")
    ] = 300,
    out: Annotated[Path | None, typer.Option(help="File to write; without it, beside the CLaP weights.")] = None,
) -> None:
    """Measure along which direction of the latent space drafts become alike, so that personal voices avoid it.

    Belongs to publishing: run it once for each CLaP.
    """
    from app.wiring import open_penpal
    from models import sameness as direction
    from models.writing_tasks import writing_tasks

    with closing(open_penpal()) as penpal:
        clap = penpal.clap
        found = direction.measure(
            penpal.decoder,
            writing_tasks("train", seed=3, limit=prompts),
            clap.latent_size,
            replace(penpal.settings.drafts.sampling(), max_tokens=48),
            progress=lambda share: _tell(f"drafted {share:.0%}") if round(share * prompts) % 30 == 0 else None,
        )
        target = out or direction.beside(clap.path)
        direction.save(found, target, clap.id)
        typer.echo(target)


def _clap_of(published: Path | None) -> Path | None:
    from exporters.published import read_published

    return read_published(published).clap if published else None


@group.command()
def add(
    folder: Annotated[
        Path, typer.Argument(help="A published latent space: the folder, as 'publish' or 'pull' made it.")
    ],
    gguf: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The backbone's GGUF, where it does not lie in the folder.")
    ] = None,
) -> None:
    """Write with another backbone or latent space from now on. Encoders of the one before wait until it comes back."""
    from app.wiring import open_penpal
    from core.config_file import change_settings
    from core.paths import penpal_home
    from exporters.published import backbone_of, install, read_published

    published = read_published(folder)
    backbone = backbone_of(published, gguf)
    home = penpal_home()
    clap, own_gguf = install(published, backbone, home.backbones)
    with closing(open_penpal(home, clap=clap)) as penpal:
        penpal.store.add_backbone(backbone.id, backbone.path)
    change_settings(home, {"clap": str(clap), "backbone": str(own_gguf) if own_gguf else None})
    typer.echo(f"PenPal now writes with {published.config.backbone.name} ({clap}). 'penpal backbone remove' goes back.")


@group.command()
def remove() -> None:
    """Go back to the embedded backbone and its own latent space. Nothing is deleted."""
    from core.config_file import change_settings
    from core.paths import penpal_home

    change_settings(penpal_home(), {"clap": None, "backbone": None})
    typer.echo("PenPal now writes with its embedded backbone.")


Repository = Annotated[str, typer.Argument(help="Name on the model hub: OWNER/NAME.", show_default=False)]


@group.command()
def push(
    folder: Annotated[Path, typer.Argument(help="A published latent space.")],
    repository: Repository,
    private: Annotated[bool, typer.Option(help="Make a new repository private.")] = False,
) -> None:
    """Upload a published latent space to the Hugging Face hub. One of the few commands that use the network."""
    from exporters.hub import upload

    typer.echo(upload(folder, repository, private=private))


@group.command()
def pull(
    repository: Repository,
    out: Annotated[Path, typer.Argument(help="Folder to put it in.")],
    revision: Annotated[str | None, typer.Option(help="A commit, to get exactly what was published then.")] = None,
) -> None:
    """Download a published latent space from the Hugging Face hub. One of the few commands that use the network."""
    from exporters.hub import download

    typer.echo(f"{download(repository, out, revision=revision)}: 'penpal backbone add {out}' takes it into use.")
