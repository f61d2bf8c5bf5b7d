"""A published latent space to and from the Hugging Face hub. The only module that may use the network, and only here.

The hub's library is told to stay offline everywhere else (`models.backbone`), so each call opens a client of its own.
"""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import HFValidationError

from core.errors import BackboneError, UsageError
from exporters.published import CARD, CLAP, CONFIG, LOG, Published, read_published

FILES = [CLAP, CONFIG, CARD, LOG]
"""What is uploaded and downloaded, and nothing else that may lie in a folder or a repository."""


def upload(folder: Path, repository: str, *, private: bool = False, api: HfApi | None = None) -> str:
    """Uploads a whole and sound folder; returns the address of the commit."""
    read_published(folder)
    client = _online(api)
    try:
        client.create_repo(repository, private=private, exist_ok=True)
        return str(client.upload_folder(repo_id=repository, folder_path=folder, allow_patterns=FILES).commit_url)
    except Exception as error:  # which ones, depends on the HTTP library that the hub's client is built on
        raise _told(error, repository) from error


def download(repository: str, folder: Path, *, revision: str | None = None, api: HfApi | None = None) -> Path:
    """Downloads into `folder` and checks what came."""
    client = _online(api)
    try:
        client.snapshot_download(repository, revision=revision, local_dir=folder, allow_patterns=[*FILES, "*.gguf"])
    except Exception as error:  # which ones, depends on the HTTP library that the hub's client is built on
        raise _told(error, repository) from error
    published: Published = read_published(folder)
    return published.folder


def _online(api: HfApi | None) -> HfApi:
    constants.HF_HUB_OFFLINE = False  # the person asked for the network with this very command
    return api or HfApi()


def _told(error: Exception, repository: str) -> BackboneError | UsageError:
    line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, HFValidationError):
        return UsageError(f"'{repository}' is no name of a repository on the hub: it is OWNER/NAME.")
    return BackboneError(f"{repository}: {line} Nothing was changed here.")
