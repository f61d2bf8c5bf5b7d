"""What a person may set, read once at the edge: environment before file before defaults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from core.errors import UsageError
from core.paths import Home
from core.protocols import Sampling


class DraftSettings(BaseModel):
    """How drafts are written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(0.8, ge=0, le=2)
    """0 always takes the most probable word."""
    top_p: float = Field(0.95, gt=0, le=1)
    min_p: float = Field(0.05, ge=0, lt=1)
    max_tokens: int = Field(160, ge=1, le=1024)
    """The longest draft."""
    strength: float = Field(1.0, ge=0, le=1.5)
    """How much of your voice: 0 writes as for anybody, 1 as it was learned, up to 1.5 is more than that."""

    def sampling(self) -> Sampling:
        return Sampling(self.temperature, self.top_p, self.min_p, self.max_tokens)


class LearningSettings(BaseModel):
    """How PenPal learns from what a person does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    fast: bool = True
    """Let every answer move the next drafts at once, before the overnight run."""
    half_life: float | None = Field(None, ge=5)
    """After so many newer choices one counts half; without it PenPal finds out how fast the taste moves."""
    flip_rate: float | None = Field(None, ge=0, lt=0.5)
    """The share of answers that are slips; without it, estimated from pairs that are asked twice."""
    loss: Literal["dpo", "ipo", "hinge", "simpo", "kto"] = "dpo"
    noise: Literal["none", "conservative", "robust"] = "robust"
    """How the loss allows for slips."""
    variant: Literal["expected", "sampled", "marginal"] = "expected"
    known_weight: float = Field(0.0, ge=0, le=1)
    """Weight of the latents that made the drafts, beside those that are inferred from the texts."""
    morning: bool = True
    """After a night that brought a new voice, ask three short questions about it."""


class Settings(BaseSettings):
    """`PENPAL_HOME/config.toml`, overridden by `PENPAL_DRAFTS__TEMPERATURE` and the like."""

    model_config = SettingsConfigDict(env_prefix="PENPAL_", env_nested_delimiter="__", extra="forbid", frozen=True)

    drafts: DraftSettings = DraftSettings()
    learning: LearningSettings = LearningSettings()
    backbone: Path | None = None
    """A GGUF of your own; without it the embedded backbone."""
    clap: Path | None = None
    """The CLaP weights that belong to your own backbone."""
    gpu_layers: int | None = Field(None, ge=0)
    """How many of the backbone's layers a GPU computes; without it all, where llama.cpp was built for one."""
    theme: Literal["dark", "light", "contrast"] = "dark"
    """How the screens look at first; a theme chosen on the screen is remembered."""
    keys: dict[str, str] = {}
    """Other keys for actions: `"drafts.edit" = "v"`; F1 shows the names of all actions."""

    @field_validator("keys", mode="before")
    @classmethod
    def _flat(cls, keys: object) -> object:
        """In TOML `drafts.edit = "v"` is a table in a table, and several keys are a list."""
        return dict(_flattened(keys)) if isinstance(keys, dict) else keys

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def _flattened(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flattened(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", ",".join(map(str, value)) if isinstance(value, list) else value


def read_settings(home: Home) -> Settings:
    """Raises UsageError, naming the setting, when the file or the environment holds something else."""
    try:
        source = TomlConfigSettingsSource(Settings, toml_file=home.config_file)
        return Settings(**source())
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"Setting '{name}' ({home.config_file} or the environment): {first['msg']}.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{home.config_file} cannot be read: {error}.") from error
