#!/usr/bin/env python3
"""An AWS on the loopback interface, for the project's own tests: ministack, with a Distributed Map's gaps filled.

    target/venv-emulator/bin/python host/tests/emulator/aws.py [--port N]

`lifeline.py` describes how it announces itself and ends. What is filled, one file each:

* `distributed_map.py`  ItemBatcher, tolerated failures, concurrency, ResultWriter, child executions with names of their own;
* `task_tokens.py`      heartbeats and time-outs, a fresh token per attempt, the errors of SendTask*;
* `error_names.py`      which errors a Retry or a Catch matches;
* `lifetime.py`         executions that are stopped stop waiting;
* `queues.py`           receipt handles that grow stale, as SQS's do;
* `data_catalog.py`     partitions of the Glue Data Catalog, deleted and counted by the call;
* `stacks.py`           numbers in CloudFormation's templates that come from parameters.

Everything else (S3, DynamoDB, SQS itself, the interpreter of the states language) is ministack's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from importlib.metadata import version

import lifeline

# The gaps are filled by replacing ministack's private functions, so that another version may not be taken unnoticed.
MINISTACK = "1.5.33"


def main() -> None:
    if version("ministack") != MINISTACK:
        sys.exit(f"aws.py: needs ministack {MINISTACK}, found {version('ministack')}: run host/tests/emulator/setup.sh")
    listener = lifeline.listen(lifeline.port_from_command_line("An AWS for tests, on the loopback interface."))
    lifeline.die_with_parent()
    configure(listener)
    fill_gaps()
    asyncio.run(serve(listener))


def configure(listener: socket.socket) -> None:
    """ministack reads its settings from the environment, when it is imported."""
    port = str(listener.getsockname()[1])
    os.environ.update(
        GATEWAY_PORT=port,
        EDGE_PORT=port,
        BIND_HOST=lifeline.HOST,
        MINISTACK_HOST=lifeline.HOST,
        # Listeners of its own, on fixed ports and all interfaces: not for tests that run side by side.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
        # Nothing outlives a test run.
        S3_PERSIST="0",
        PERSIST_STATE="0",
    )
    os.environ.setdefault("LOG_LEVEL", "WARNING")


def fill_gaps() -> None:
    import data_catalog
    import distributed_map
    import error_names
    import lifetime
    import queues
    import stacks
    import task_tokens

    for room in (lifetime, error_names, task_tokens, distributed_map, queues, data_catalog, stacks):
        room.install()


async def serve(listener: socket.socket) -> None:
    from hypercorn.asyncio import serve as serve_asgi
    from hypercorn.config import Config
    from ministack.app import app

    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.keep_alive_timeout = 75
    config.loglevel = os.environ["LOG_LEVEL"].upper()

    async def announce_and_stay() -> None:
        # hypercorn waits for this after the application's start-up, so it is the moment to say "ready".
        lifeline.announce(listener)
        await asyncio.Event().wait()

    await serve_asgi(app, config, shutdown_trigger=announce_and_stay)


if __name__ == "__main__":
    main()
