"""A model on disk: a folder with `bundle.json`, the manifest described here, and one Hugging Face checkpoint or more.

The trainer writes it, every worker reads it; whatever is wrong with a folder is said in one sentence (`BundleError`).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from schemas.events import Id

MANIFEST = "bundle.json"
FORMAT = 1
DEFAULT = "default"  # as a path: the bundle that came with each worker's own release

Sentiment = Literal["negative", "neutral", "positive"]
Language = Literal["zh", "en"]
# It goes into every event and row: as long as an Id, and nothing that PostgreSQL or a terminal cannot take.
Name = Annotated[Id, Meta(pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
Temperature = Annotated[float, Meta(gt=0.0)]


class BundleError(Exception):
    """A bundle cannot be used. The message says what is wrong, where, and what to do about it."""


class Decisions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Thresholds chosen on held-back data for one model's probabilities; used by `stream_app.scoring.decisions`."""

    anger_threshold: float = 0.5
    intensity_cuts: tuple[float, float, float, float] = (0.2, 0.4, 0.6, 0.8)


class Temperatures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Logits are divided by these before they become probabilities (temperature scaling)."""

    sentiment: Temperature = 1.0
    anger: Temperature = 1.0


class Encoder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One checkpoint of a bundle: the files of a Hugging Face classifier in `folder`, a path inside the bundle."""

    folder: str
    temperatures: Temperatures = Temperatures()


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text, already prepared for the model, and the scores it gave on the day the bundle was made."""

    text: str
    context: str | None
    negative: float
    neutral: float
    positive: float
    anger: float


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`bundle.json`. An imported classifier needs only `name` and `labels`; the rest has defaults."""

    name: Name
    labels: dict[str, Sentiment]
    """Output name (from config.json's `id2label`) or number -> sentiment. Several may share one: 1 and 2 stars."""
    anger_output: int | None = None
    """The number of the output that answers "angry?"; null: the model does not know anger and always says 0."""
    format: int = FORMAT
    architecture: Literal["bert-packed", "transformer"] = "transformer"
    created: datetime | None = None
    max_tokens: Annotated[int, Meta(ge=3)] = 256
    """A start, an end, and something between them."""
    encoders: dict[Language, Encoder] = {}
    """Language -> the checkpoint that reads it; all of them have the same outputs. Empty: the folder itself is one."""
    weights: dict[str, str] = {}
    """File, relative to the folder -> its SHA-256. Empty: nothing to compare with."""
    temperatures: Temperatures = Temperatures()
    """Of the one checkpoint; with `encoders`, each has its own."""
    decisions: Decisions = Decisions()
    text_version: int | None = None
    """TEXT_VERSION of the text it was trained on; null: trained elsewhere, on text we did not prepare."""
    metrics: dict[str, dict[str, float]] = {}
    """Held-back set -> figure -> value."""
    training: dict[str, str | int | float] = {}
    """What a person needs to repeat the run: rows, epochs, layers, seed, what it started from."""
    data_fingerprint: str | None = None
    held_back: str | None = None
    """Fingerprint of the rows that no training of this bundle saw; null: not known."""
    code_commit: str | None = None
    canary: list[Canary] = []
    licences: dict[str, str] = {}
    """Data set or base model -> what its owners allow."""

    @property
    def checkpoints(self) -> dict[str, Encoder]:
        """Every checkpoint: the encoders by language, or the folder itself under the name "all"."""
        return dict[str, Encoder](self.encoders.items()) or {"all": Encoder(".", self.temperatures)}


def read_manifest(folder: Path, *, text_version: int | None = None) -> Manifest:
    """The manifest in `folder`. Raises BundleError when it is missing, broken, or made for another `text_version`."""
    if not folder.is_dir():
        raise BundleError(f"No model bundle at {folder}: no such folder; set MOODSTREAM_MODEL to a bundle's folder.")
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise BundleError(
            f"{folder} holds no {MANIFEST}: write one that maps the model's outputs, or copy it again."
        ) from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except msgspec.DecodeError as error:
        raise BundleError(f"{path} is not a valid manifest ({error}): correct it or copy the bundle again.") from error
    return _checked(manifest, path, text_version)


def checked_name(name: str) -> str:
    """The same. Raises BundleError for what cannot be a model's name."""
    try:
        msgspec.json.decode(msgspec.json.encode(name), type=Name)
    except (msgspec.DecodeError, UnicodeEncodeError):
        shown = ascii(name if len(name) < 40 else f"{name[:40]}…")
        raise BundleError(
            f"{shown} cannot be a model's name: 1 to 128 characters of UTF-8, none that controls."
        ) from None
    return name


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write `bundle.json`, indented: people read and compare it."""
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (folder / MANIFEST).write_bytes(content + b"\n")


def _checked(manifest: Manifest, path: Path, text_version: int | None) -> Manifest:
    if manifest.format != FORMAT:
        raise BundleError(f"{path} has format {manifest.format}, this program reads {FORMAT}: use a matching release.")
    if not manifest.labels:
        raise BundleError(f'{path} maps no outputs: fill "labels", for example {{"0": "negative", "1": "positive"}}.')
    if manifest.encoders and (missing := set(get_args(Language)) - set(manifest.encoders)):
        raise BundleError(f"{path} has no encoder for {', '.join(sorted(missing))}: a text in it could not be scored.")
    for name in [*(encoder.folder for encoder in manifest.encoders.values()), *manifest.weights]:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise BundleError(f"{path} names {name!r}, which is not inside the bundle: correct it.")
    known = manifest.text_version is not None and text_version is not None
    if known and manifest.text_version != text_version:
        raise BundleError(
            f"{path} was trained on text version {manifest.text_version}, this program prepares version {text_version}:"
            " train a new bundle or run the release that made this one."
        )
    return manifest
