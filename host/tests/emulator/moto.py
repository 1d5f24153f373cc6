#!/usr/bin/env python3
"""A second opinion: moto's AWS, unpatched, with its interpreter of the states language switched on.

    target/venv-moto/bin/python host/tests/emulator/moto.py [--port N]

`lifeline.py` describes how it announces itself and ends. moto is strict about the states language and about 256 KiB, but
knows no ItemBatcher: hand its Map ready-made batches, through an ItemReader of InputType JSON.
"""

from __future__ import annotations

import os
import sys

import lifeline

# This folder holds a file called moto.py: the package is meant below.
sys.path.pop(0)

from moto.core.config import default_user_config  # noqa: E402
from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: E402


class QuietRequestHandler(WSGIRequestHandler):
    """Without a log line per request, and with connections that stay open."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


def main() -> None:
    listener = lifeline.listen(lifeline.port_from_command_line("moto's AWS, on the loopback interface."))
    lifeline.die_with_parent()
    host, port = listener.getsockname()
    # moto's state machines call moto's other services under this port.
    os.environ["MOTO_PORT"] = str(port)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    application = DomainDispatcherApplication(create_backend_app)
    server = make_server(
        host, port, application, threaded=True, request_handler=QuietRequestHandler, fd=listener.fileno())
    lifeline.announce(listener)
    server.serve_forever()


if __name__ == "__main__":
    main()
