"""Commands of whoever publishes a backbone: pretrain its latent space, measure it."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import AsJson, print_json

group = typer.Typer(no_args_is_help=True, help="Pretrain and measure a backbone's latent space.")


def _tell(line: str) -> None:
    typer.echo(line, file=sys.stderr)


@group.command()
def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for samples, checkpoints and the result.")],
    prompts: Annotated[int, typer.Option(min=1, help="Writing tasks to sample responses for.")] = 1472,
    steps: Annotated[
        int, typer.Option(min=1, help="Training steps, one prompt each, about 0.8 s on two cores.")
    ] = 3800,
    warm_steps: Annotated[int, typer.Option(min=0, help="Steps of the bag-of-words warm start.")] = 250,
    seed: Annotated[int, typer.Option(help="Decides every random number of the run.")] = 0,
) -> None:
    """Sample responses, train encoder and adapter (CLaP), publish. Run it again to go on after an interruption."""
    from app.wiring import open_penpal
    from models.pretrain import PretrainConfig
    from models.publish import sample_and_train

    with closing(open_penpal()) as penpal:
        config = PretrainConfig(steps=steps, warm_steps=warm_steps, seed=seed)
        path = sample_and_train(penpal.backbone, out, prompts=prompts, config=config, report=_tell)
        typer.echo(path)


@group.command(name="eval")
def evaluate(
    prompts: Annotated[int, typer.Option(min=4, help="Held-out prompts.")] = 64,
    as_json: AsJson = False,
) -> None:
    """Measure the latent space on held-out prompts: contrastive accuracy, fluency, active dimensions."""
    from dataclasses import asdict

    from app.wiring import open_penpal
    from models.publish import evaluate as run

    with closing(open_penpal()) as penpal:
        report = run(
            penpal.backbone,
            penpal.clap.arrays,
            penpal.decoder,
            penpal.home.runs / "eval",
            prompts=prompts,
            report=_tell,
        )
        if as_json:
            print_json(asdict(report))
        else:
            for name, value in asdict(report).items():
                typer.echo(f"{name:34} {value:.3f}" if isinstance(value, float) else f"{name:34} {value}")


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
