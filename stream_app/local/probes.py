"""Does a server answer in its own protocol? An open port says little: all three open theirs before they can serve."""

import socket
import struct

TIMEOUT_S = 2.0


def kafka_answers(port: int) -> bool:
    """Metadata v4 without topics: true once the broker lists itself, that is, once its controller has let it in."""
    api_key, api_version, correlation = 3, 4, 1
    header = struct.pack(">hhih", api_key, api_version, correlation, len(b"moodstream")) + b"moodstream"
    request = header + struct.pack(">i?", 0, False)
    answer = _ask(port, struct.pack(">i", len(request)) + request, enough=16)
    if len(answer) < 16:
        return False
    _, answered, _, brokers = struct.unpack(">iiii", answer[:16])
    return bool(answered == correlation and brokers > 0)


def postgres_answers(port: int) -> bool:
    """A startup packet: 'R' asks for (or waives) authentication; while it starts up or recovers it says 'E'."""
    body = struct.pack(">i", 3 << 16) + b"user\0postgres\0database\0postgres\0\0"
    return _ask(port, struct.pack(">i", len(body) + 4) + body, enough=1) == b"R"


def redis_answers(port: int) -> bool:
    """PING: while the append-only file is loading it says -LOADING."""
    return _ask(port, b"PING\r\n", enough=5) == b"+PONG"


def _ask(port: int, request: bytes, enough: int) -> bytes:
    """The first `enough` bytes of the answer; fewer if there is nobody, or it hangs up."""
    answer = b""
    try:
        with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
            connection.sendall(request)
            while len(answer) < enough and (more := connection.recv(enough - len(answer))):
                answer += more
    except OSError:
        return b""
    return answer
