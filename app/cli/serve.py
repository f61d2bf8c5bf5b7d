"""The command that lends a person's voice to other programs on this machine."""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.output import notice
from core.errors import UsageError

if TYPE_CHECKING:
    from core.paths import Home

MAX_CONNECTIONS = 64
TOKEN_FILE = "serve.token"


def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any free one.")] = 8765,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    allow_network: Annotated[
        bool, typer.Option("--allow-network", help="Listen where other machines can connect, too.")
    ] = False,
    new_token: Annotated[
        bool, typer.Option("--new-token", help="Make a new token; the old one opens nothing.")
    ] = False,
) -> None:
    """Let editors and other programs on this machine write in your voice, through the OpenAI API.

    Give them the address and the token that are shown. Model 'penpal' is your voice, 'generic' is without it. What they
    ask for is kept like your own drafts; an edit that they send back (POST /v1/feedback) teaches PenPal.
    """
    import uvicorn

    from app.serve.api import Api
    from app.wiring import open_penpal

    _refuse_network(host, allow_network)
    with closing(open_penpal()) as penpal, closing(_listening(host, port)) as listener:
        if waits := penpal.left_behind():
            notice(waits)
        token = token_of(penpal.home, new=new_token)
        address, bound = listener.getsockname()[:2]
        shown = f"[{address}]" if ":" in address else address
        notice(f"Listening on http://{shown}:{bound}/v1 until Ctrl-C. For programs that speak the OpenAI API:")
        typer.echo(f"export OPENAI_BASE_URL=http://{shown}:{bound}/v1\nexport OPENAI_API_KEY={token}")
        hosts = ["localhost", "127.0.0.1", "[::1]", shown] if not allow_network else ["*"]
        config = uvicorn.Config(
            Api(penpal, token).application(hosts), log_level="warning", access_log=False, server_header=False,
            limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=5, timeout_graceful_shutdown=2, lifespan="off",
        )  # fmt: skip
        uvicorn.Server(config).run(sockets=[listener])


def token_of(home: Home, *, new: bool = False) -> str:
    """The home's token, made when there is none; readable by its owner only."""
    path = home.folder / TOKEN_FILE
    if path.exists() and not new:
        return path.read_text().strip()
    home.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    token = f"penpal-{secrets.token_urlsafe(24)}"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(token + "\n")
    return token


def _refuse_network(host: str, allowed: bool) -> None:
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise UsageError(f"'{host}' is no address: give one such as 127.0.0.1.") from error
    if not is_here and not allowed:
        raise UsageError(
            f"{host} can be reached from other machines, who could then read your voice with the token alone and "
            "unencrypted. If you want that, add --allow-network."
        )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UsageError(f"Port {port} on {host} cannot be used: {error.strerror}. Try another --port.") from error
    listener.listen()
    return listener
