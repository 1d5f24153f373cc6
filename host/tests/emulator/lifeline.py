"""What both emulators share: a loopback port, the ready line, and an end that leaves no orphan behind.

The protocol with the test that starts an emulator:

* the emulator prints one line of JSON, ``{"endpoint": "http://127.0.0.1:PORT"}``, once it answers requests;
* it lives as long as its stdin stays open, so that it ends with the test run however that run ends, `kill -9` included;
* SIGTERM ends it as well (the default action of the signal).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import threading

HOST = "127.0.0.1"


def port_from_command_line(description: str) -> int:
    """The `--port` argument; 0, the default, lets the kernel choose a free one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, default=0, help="loopback port to listen on (default: a free one)")
    return parser.parse_args().port


def listen(port: int) -> socket.socket:
    """A listening socket on the loopback interface.

    The socket itself is handed to the server, not its number: a port looked up and bound later may be taken in between.
    """
    return socket.create_server((HOST, port), backlog=1024)


def endpoint(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}"


def announce(listener: socket.socket) -> None:
    print(json.dumps({"endpoint": endpoint(listener)}), flush=True)


def die_with_parent() -> None:
    """Ends the process at the end of stdin and on Ctrl-C, at once.

    `os._exit`, because waiting state machines hold threads that an orderly exit would join, and nothing here is worth saving.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=_exit_at_end_of_stdin, daemon=True).start()


def _exit_at_end_of_stdin() -> None:
    try:
        while os.read(0, 4096):
            pass
    finally:
        os._exit(0)
