"""The tree of commands: what `penpal --help` lists, in the order in which a person meets them."""

from __future__ import annotations

from typing import Annotated

import typer

from app.cli import (
    backbone,
    backup,
    bench,
    data,
    demo,
    doctor,
    encoders,
    feedback,
    forget,
    guests,
    migrate,
    pack_files,
    packs,
    pairs,
    personalize,
    quantize,
    serve,
    writing,
)

application = typer.Typer(
    name="penpal",
    help="A writing assistant that learns how you write, on your own machine.\n\n"
    "Start with 'penpal chat': write a prompt, pick the draft you like better, edit it. Then 'penpal personalize' "
    "learns from what you did, and the next drafts are closer to what you want. Nothing leaves this machine.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: rich costs 0.1 s at start
    context_settings={"help_option_names": ["--help", "-h"], "max_content_width": 100},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"penpal {version('penpal')}")
        raise typer.Exit


@application.callback()
def penpal(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options that belong to no command; the help text is the one above."""


application.command()(writing.chat)
application.command()(writing.rate)
application.command()(writing.write)
application.add_typer(feedback.group, name="feedback")
application.add_typer(pairs.group, name="pairs")
application.command()(personalize.personalize)
encoders.group.command()(guests.compare)
encoders.group.command()(migrate.migrate)
application.add_typer(encoders.group, name="encoder")
application.command("export")(packs.export)
application.command("import")(packs.import_)
application.add_typer(pack_files.group, name="pack")
application.command()(backup.backup)
application.command()(backup.restore)
application.add_typer(data.group, name="data")
application.command()(forget.forget)
application.command()(serve.serve)
application.command()(demo.demo)
application.command()(bench.bench)
application.command()(doctor.doctor)
backbone.group.command()(quantize.quantize)
application.add_typer(backbone.group, name="backbone")
