"""The command that writes a backbone in other formats."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import AsJson, print_json


def quantize(
    source: Annotated[
        Path,
        typer.Argument(help="A model's folder as Hugging Face keeps it (llama family), or a GGUF.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder to write to.")],
    types: Annotated[
        str, typer.Option(metavar="LIST", help="Of F32, F16, BF16, Q8_0, Q5_K_M, Q4_K_M and Q4_0.")
    ] = "F16,Q8_0,Q5_K_M,Q4_K_M",
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    json: AsJson = False,
) -> None:
    """Write a backbone in smaller formats, with llama.cpp's own quantizer.

    A latent space belongs to one file: pretrain it ('penpal backbone pretrain') on the one you mean to write with.
    'python -m benchmarks.quantizations' measures what each costs. Example:

    penpal backbone quantize SmolLM2-135M-Instruct --out models --types Q8_0,Q4_K_M
    """
    from exporters.quantize import quantize as run
    from exporters.quantize import read_kinds

    rows = []
    for written in run(source, out, read_kinds(types), replace=force):
        rows.append({**asdict(written), "path": str(written.path)})
        if not json:
            typer.echo(written.told)
    if json:
        print_json(rows)
    elif rows and (before := rows[0]["requantized_from"]):
        typer.echo(
            f"{source} is quantized already ({before}): what it lost stays lost, and a larger format gains nothing but "
            "perhaps speed."
        )
