"""The user's own conda configuration, which counts only if they ask for it.

Without CW_ENABLE_CONDARC nothing of ``.condarc`` has an effect, so that a stack is the same whoever
makes it.

Public name: ``honoured``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tykky.errors import ConfigError, Where

if TYPE_CHECKING:
    from tykky.config import Config

#: What users set to have their own configuration used.
VARIABLE = "CW_ENABLE_CONDARC"


def honoured(config: Config, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration with that of the user's conda on top, if they ask for it.

    Read are ``channels``, ``default_channels``, ``custom_channels``, ``channel_alias`` and
    ``channel_priority``, from the file that CONDARC names or ``~/.condarc``. What the site has
    blocked stays blocked. Raises ``ConfigError`` for a file that cannot be read.
    """
    if not environ.get(VARIABLE):
        return config
    path = Path(environ.get("CONDARC") or Path(environ.get("HOME", "/"), ".condarc"))
    if not path.is_file():
        return config
    data = _read(path)
    aliases = {
        str(name): f"{str(url).rstrip('/')}/{name}"
        for name, url in (data.get("custom_channels") or {}).items()
    }
    channels: list[str] = []
    for name in data.get("channels") or ():
        defaults = data.get("default_channels")
        channels += map(str, defaults) if name == "defaults" and defaults else [str(name)]
    conda = config.conda
    return replace(
        config,
        conda=replace(
            conda,
            channels=tuple(channels) or conda.channels,
            channel_alias=str(data.get("channel_alias") or conda.channel_alias),
            aliases=(*conda.aliases, *(f"{name}={url}" for name, url in aliases.items())),
            strict_priority=str(data.get("channel_priority") or "strict") == "strict",
        ),
    )


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(
            f"the conda configuration cannot be read: {getattr(error, 'problem', error)}",
            remedy=f"correct it, or unset {VARIABLE}",
            where=Where(path, mark.line + 1 if mark else 0),
        ) from None
    return data if isinstance(data, dict) else {}
