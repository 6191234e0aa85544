"""Every setting of the product, read once at the start into one frozen object.

Order of precedence: environment (`MOODSTREAM_…`), then the TOML file named by `MOODSTREAM_CONFIG`, then the running
local stack (`moodstream up`) for the three addresses, then the defaults below.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    Field,
    FilePath,
    PostgresDsn,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from stream_app.errors import SetupError

PREFIX = "MOODSTREAM_"
Role = Literal["score", "alert", "record", "notify", "models", "trainer"]
ROLES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role != "trainer")  # training wants to be asked for


class Settings(BaseSettings):
    """Frozen; secrets print as stars. Durations are in the unit their name ends with."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    # --- neighbours -----------------------------------------------------------------------------------------------
    kafka: str = Field("", description="Kafka bootstrap servers, host:port[,host:port…]")
    database: SecretStr = Field(SecretStr(""), description="PostgreSQL URL, postgresql://user:password@host:port/name")
    redis: SecretStr = Field(SecretStr(""), description="Redis or Valkey URL, redis://host:port/0")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="as librdkafka's security.protocol"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="used with SASL_*"
    )
    kafka_username: str = Field("", description="SASL user")
    kafka_password: SecretStr = Field(SecretStr(""), description="SASL password")
    kafka_ca_file: FilePath | None = Field(None, description="PEM file of the certificate authority, for *SSL")

    # --- worker ---------------------------------------------------------------------------------------------------
    roles: Annotated[tuple[Role, ...], NoDecode] = Field(
        ROLES,
        min_length=1,
        description="what this worker does, comma separated; score hears of promotions only beside models",
    )
    slot: int | None = Field(
        None, ge=0, description="this worker's stable number; without it a StatefulSet ordinal or a lease in Redis"
    )
    group: str = Field("moodstream", pattern=r"^[a-zA-Z0-9._-]+$", description="prefix of consumer groups and ids")
    web_host: str = Field("127.0.0.1", description="where /health and /metrics answer")
    web_port: int = Field(6066, ge=0, le=65535, description="0 picks a free one")
    batch_events: int = Field(4000, ge=1, le=20_000, description="the most events in one batch")
    batch_wait_ms: int = Field(25, ge=0, le=10_000, description="the longest a lone event waits for company")
    transaction_timeout_ms: int = Field(
        10_000, ge=1000, le=900_000, description="an open transaction of a dead worker hides later records this long"
    )
    watchdog_s: float = Field(45.0, ge=20, description="a batch that hangs this long in Kafka ends the process")
    event_max_age_days: int = Field(400, ge=1, le=36_500, description="older events become dead letters")
    event_max_ahead_s: int = Field(
        3600, ge=0, le=31_536_000, description="events further in the future become dead letters"
    )

    # --- model ----------------------------------------------------------------------------------------------------
    model: str = Field("default", description="default, quick (a stand-in), or a folder with a bundle")
    scoring_threads: int = Field(2, ge=1, le=64, description="scoring threads over one copy of the weights")
    token_budget: int = Field(1024, ge=128, description="tokens of one forward pass")
    pseudonym_key: SecretStr = Field(
        SecretStr("moodstream-local"),
        min_length=8,
        max_length=64,
        description="secret that turns customer ids into pseudonyms",
    )

    # --- alerts ---------------------------------------------------------------------------------------------------
    alert_rules: Path | None = Field(None, description="TOML file of rules; without it the built-in ones")
    alert_language: Literal["zh", "en"] = Field("en", description="language of an alert's reason")
    webhook_url: str = Field("", description="where alerts are posted; empty: only the log")
    webhook_secret: SecretStr = Field(SecretStr(""), description="signs the webhook's body (HMAC-SHA256)")
    webhook_timeout_s: float = Field(5.0, gt=0)

    # --- trainer --------------------------------------------------------------------------------------------------
    trainer_every_h: float = Field(6.0, gt=0, description="how often the role trainer asks whether to train")
    trainer_min_labels: int = Field(500, ge=1, description="so many new labels make a training run due")
    trainer_max_age_d: float = Field(30.0, gt=0, description="so does a champion this old, if there is a new label")
    trainer_models: Path = Field(Path("models"), description="folder of new bundles, which every worker can read")
    trainer_data: Path | None = Field(None, description="folder of labelled files to replay in every training run")
    trainer_behaviour: Path | None = Field(None, description="behaviour cases that a new model must not fail more of")

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"

    @field_validator("roles", mode="before")
    @classmethod
    def _split_roles(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("database")
    @classmethod
    def _postgres_url(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value():
            TypeAdapter(PostgresDsn).validate_python(value.get_secret_value())
        return value

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        # an @ behind the host: a / or ? in the password ended it early, and its beginning would be shown as a port
        if url and (not _is_url(url, ("redis", "rediss")) or "@" in "".join(urlsplit(url)[2:])):
            raise ValueError("must be redis://[user:password@]host:port/number, special characters written as %XX")
        return value

    @field_validator("webhook_url")
    @classmethod
    def _http_url(cls, value: str) -> str:
        if value and not _is_url(value, ("http", "https")):
            raise ValueError("must be http://host[:port]/path or https://…")
        return value

    @field_validator("pseudonym_key")
    @classmethod
    def _key_size(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value().encode()) > 64:  # what BLAKE2b takes as a key
            raise ValueError("must be at most 64 bytes in UTF-8")
        return value

    @model_validator(mode="after")
    def _login(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL"):
            missing = [name for name in ("kafka_username", "kafka_password") if not _plain(getattr(self, name))]
            if missing:
                names = " and ".join(PREFIX + name.upper() for name in missing)
                raise ValueError(f"{names}: needed with {self.kafka_security_protocol}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        sources = [init_settings, env_settings]
        if config := os.environ.get(PREFIX + "CONFIG"):
            sources.append(TomlConfigSettingsSource(settings_cls, Path(config)))
        return tuple(sources)


def load(**overrides: Any) -> Settings:
    """The settings of this process. `overrides` (from the command line) win; None means "not given".

    Raises SetupError with one line a mistake, naming the variable to change.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    config = os.environ.get(PREFIX + "CONFIG")
    if config and not Path(config).is_file():
        raise SetupError(f"{PREFIX}CONFIG: there is no file {config}")
    _refuse_unknown_variables()
    try:
        settings = Settings(**given)
    except ValidationError as mistake:
        raise SetupError("; ".join(_readable(error) for error in mistake.errors())) from None
    except ValueError as mistake:  # a TOML file that does not parse
        raise SetupError(f"{config}: {mistake}") from None
    return _with_local_stack(settings)


def _refuse_unknown_variables() -> None:
    """A misspelt variable must not be silently ignored."""
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {PREFIX + "CONFIG", PREFIX + "HOME"}
    if unknown := sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known):
        raise SetupError(f"unknown setting {', '.join(unknown)}; `moodstream worker --help` lists them all")


def _is_url(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # its message may quote a password
        return False


def _readable(error: Any) -> str:
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = PREFIX + ".".join(str(part) for part in error["loc"][:1]).upper()
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def _with_local_stack(settings: Settings) -> Settings:
    """Addresses nobody gave come from the local stack, if one is running."""
    missing = [name for name in ("kafka", "database", "redis") if not _plain(getattr(settings, name))]
    if not missing:
        return settings
    from stream_app.local.stack import home, running  # late: a production worker never touches it

    if (endpoints := running(home())) is None:
        return settings
    found = {"kafka": endpoints.kafka, "database": SecretStr(endpoints.database), "redis": SecretStr(endpoints.redis)}
    return settings.model_copy(update={name: found[name] for name in missing})


def _plain(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value


def need(settings: Settings, *names: str) -> None:
    """Refuse to go on without these addresses. Raises SetupError naming the ways to give them."""
    for name in names:
        if not _plain(getattr(settings, name)):
            raise SetupError(
                f"no address for {name}: set {PREFIX}{name.upper()}, or start the local stack with `moodstream up`"
            )
