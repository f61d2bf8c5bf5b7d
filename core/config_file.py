"""Changes single settings in `PENPAL_HOME/config.toml`; everything else in it stays as the person wrote it."""

from __future__ import annotations

from collections.abc import Mapping

import tomlkit
from tomlkit.exceptions import TOMLKitError

from core.errors import UsageError
from core.files import write_atomically
from core.paths import Home


def change_settings(home: Home, changes: Mapping[str, str | None]) -> None:
    """Sets these top-level settings; None takes one out. Raises UsageError when the file is no TOML."""
    path = home.config_file
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8")) if path.exists() else tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read: {error}. Nothing was changed.") from error
    for name, value in changes.items():
        if value is not None:
            document[name] = value
        elif name in document:
            del document[name]
    write_atomically(path, tomlkit.dumps(document).encode())
