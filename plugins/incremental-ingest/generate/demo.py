"""Runs the dataset twice over a PostgreSQL of its own, with new and late rows in between, and shows what moved.

    python3 demo.py --gristmill target/debug/gristmill --local work/demo [--rows 100000] [--seed 1]

With DATABASE_URL (postgresql://user:password@host/db, a user that may make tables and roles) it takes that server, in which
the schema `public` has no tables of the demo's names yet.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
SERVE = HERE.parents[2] / "host" / "tests" / "postgres" / "serve.py"


class Server:
    """The database: one of our own, in a folder, or the one of DATABASE_URL."""

    def __init__(self, folder: Path) -> None:
        self.process = None
        url = os.environ.get("DATABASE_URL")
        if url:
            self.psql_arguments, parts = [url], urlsplit(url)
            self.host = f"{parts.hostname}:{parts.port or 5432}{parts.path}"
            self.tls = {}
            return
        self.process = subprocess.Popen(
            [sys.executable, SERVE, "--folder", folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ready = self.process.stdout.readline()
        if not ready:
            sys.exit(self.process.wait() or 1)
        said = json.loads(ready)
        self.psql_arguments = ["-h", said["folder"], "-p", str(said["port"]), "-U", "postgres", "postgres"]
        self.host = f"localhost:{said['port']}/postgres"
        self.tls = {"ca": said["ca"]}

    def psql(self, *arguments: str, **variables: str) -> list[str]:
        named = [part for name, value in variables.items() for part in ("-v", f"{name}={value}")]
        return ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *named, *arguments, *self.psql_arguments]

    def stop(self) -> None:
        if self.process:
            self.process.stdin.close()
            self.process.wait()


class Session:
    """A session that stays open."""

    def __init__(self, server: Server) -> None:
        self.process = subprocess.Popen(server.psql("-At"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, statements: str) -> None:
        self.process.stdin.write(f"{statements}\n\\echo done\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.strip() == "done":
                return
        sys.exit("the database did not take the statements")

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="Incremental ingest, shown.")
    parser.add_argument("--gristmill", required=True)
    parser.add_argument("--local", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    folder = (arguments.local / "ingest").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder / "postgres")
    try:
        show(server, folder, arguments)
    finally:
        server.stop()


def show(server: Server, folder: Path, arguments: argparse.Namespace) -> None:
    password = folder / "password"
    if not password.exists():
        say(f"four tables of {arguments.rows:,} rows each")
        made = secrets.token_urlsafe(24)
        fill = server.psql("-1", "-f", HERE / "tables.sql", rows=str(arguments.rows), seed=str(arguments.seed % 1000 / 1000))
        run_or_exit(fill, INGEST_PASSWORD=made)
        password.touch(mode=0o600)
        password.write_text(made)
    connections = folder / "connections.toml"
    ca = "".join(f'{name} = "{value}"\n' for name, value in server.tls.items())
    connections.write_text(f'[shop]\nurl = "postgresql://ingest@{server.host}"\npassword = {{ file = "{password}" }}\n{ca}')

    def gristmill(*command: str) -> None:
        environment = {"LAKE": "lake", "MASK_KEY": "the demo's key, which is no secret"}
        run_or_exit([arguments.gristmill, *command], quiet=False, **environment)

    run = ["map", str(HERE.parent), "--local", str(folder), "--connections", str(connections)]
    say("the first run takes what is there")
    gristmill(*run)

    say("a transaction begins, and inserts a row that nobody sees yet; meanwhile others commit 1,000 rows")
    late = Session(server)
    late.run(f"BEGIN; {insert(1_000_000, 1)}")
    run_or_exit(server.psql("-c", insert(0, 1000)))
    say("the second run stops before that transaction began")
    gristmill(*run)
    late.run("COMMIT;")
    late.close()
    say("the transaction has committed, with the time at which it began: the third run has its row, and the thousand")
    run_or_exit(server.psql("-At", "-c", "SELECT pg_sleep(1.2)"))
    gristmill(*run)
    gristmill("windows", "shipments", "--local", str(folder))


def run_or_exit(command: list[str], quiet: bool = True, **environment: str) -> None:
    said = subprocess.DEVNULL if quiet else None
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=said, check=False)
    if done.returncode != 0:
        sys.exit(done.returncode)


def insert(beyond: int, rows: int) -> str:
    columns = "shipmt_id, shipmt_value, orig_state, dest_state, quarter, export_yn, contact"
    identifier = f"(SELECT coalesce(max(shipmt_id), 0) FROM shipments) + {beyond} + n"
    values = f"{identifier}, 1, 'CA', 'NY', 1, false, 'late@example.org'"
    return f"INSERT INTO shipments ({columns}) SELECT {values} FROM generate_series(1, {rows}) AS n;"


def say(what: str) -> None:
    print(f"\n# {what}", flush=True)


if __name__ == "__main__":
    main()
