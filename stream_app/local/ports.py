"""One fixed port for each server of a data folder, chosen once and kept in a file."""

import random
import socket
from pathlib import Path

# Below the range the kernel gives to outgoing connections (32768 up): while a server is down, a client that keeps
# trying a port of that range can be given the very same one, connect to itself, and block the server's return.
LOWEST, HIGHEST = 20_000, 32_000


def fixed_port(file: Path) -> int:
    """The port kept in `file`; a new one the first time, or when another program has taken it."""
    try:
        port = int(file.read_text())
    except (FileNotFoundError, ValueError):
        port = 0
    if port and is_free(port):
        return port
    port = free_port()
    file.write_text(f"{port}\n")
    return port


def free_port() -> int:
    candidates = iter(random.sample(range(LOWEST, HIGHEST), HIGHEST - LOWEST))
    return next(filter(is_free, candidates))


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
