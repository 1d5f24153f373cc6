"""A PostgreSQL server of one's own, in a scratch folder: no service, not as root, gone with whoever started it.

    python3 host/tests/postgres/serve.py [--folder DIR]

It prints one line of JSON when it is ready: the port (of 127.0.0.1 and of the socket), the folder, the file of the
certificate authority. It ends when its standard input does. With `--folder`, what is in it stays and is found again.

Each line that it reads is something to do, and is answered by a line (`{}`, or `{"error": ...}`):

    restart                 at once, as if it had crashed
    stop | start
    certificate NAME        right, wrong-name, expired
    tls on|off
    standby                 start one that follows; the answer has its port

The superuser is `postgres`, without a password, through the socket in the folder. Everybody else needs one (SCRAM).
"""

import argparse
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

CERTIFICATES = {
    "right": ("DNS:localhost,IP:127.0.0.1", 30),
    "wrong-name": ("DNS:elsewhere.example", 30),
    "expired": ("DNS:localhost,IP:127.0.0.1", -1),
}

# Nothing has to survive the machine, and a test waits for it.
SETTINGS = """
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
password_encryption = 'scram-sha-256'
ssl = on
ssl_cert_file = '{folder}/server.pem'
ssl_key_file = '{folder}/server.key'
fsync = off
full_page_writes = off
max_connections = 60
max_prepared_transactions = 10
shared_buffers = 64MB
wal_level = replica
logging_collector = off
"""

ACCESS = """
local all         postgres              trust
host  all         all      127.0.0.1/32 scram-sha-256
host  replication all      127.0.0.1/32 scram-sha-256
local replication postgres              trust
"""


def programs() -> Path:
    """The folder of PostgreSQL's programs, of the newest version that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path is None:
        sys.exit("gristmill: PostgreSQL is missing: run host/tests/postgres/install.sh")
    return Path(on_path).resolve().parent


def owner() -> dict[str, Any]:
    """Whom the server runs as: PostgreSQL refuses to run as root."""
    if os.getuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    sys.exit("gristmill: there is no user `postgres` or `nobody` to run PostgreSQL as")


class Server:
    """The server, and the files of its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data, self.programs, self.owner = folder, folder / "data", programs(), owner()
        self.port = free_port()
        self.followers: list[Path] = []
        folder.chmod(0o755)
        if self.owner:
            os.chown(folder, self.owner["user"], self.owner["group"])

    def run(self, *command: str | Path) -> None:
        # Not with our own standard streams: the server would keep them open.
        with open(self.folder / "commands.log", "ab") as log:
            done = subprocess.run(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False, **self.owner
            )
        if done.returncode != 0:
            said = (self.folder / "commands.log").read_text(errors="replace").strip().splitlines()
            raise RuntimeError(f"{Path(command[0]).name} failed: {' '.join(said[-5:])}")

    def make(self) -> None:
        """The authority, the certificates, and an empty cluster."""
        self.key("ca.key")
        self.run("openssl", "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=an authority for tests", "-days", "30",
                 "-out", "ca.pem")
        for name, (names, days) in CERTIFICATES.items():
            self.key(f"{name}.key")
            self.run("openssl", "req", "-new", "-key", f"{name}.key", "-subj", "/CN=localhost", "-out", f"{name}.csr")
            extensions = self.folder / f"{name}.ext"
            extensions.write_text(f"subjectAltName={names}\n")
            self.run("openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                     "-days", str(days), "-extfile", extensions, "-out", f"{name}.pem")
        self.certificate("right")
        self.run(self.programs / "initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
                 "--locale=C.UTF-8", "--pgdata", self.data)
        with open(self.data / "postgresql.conf", "a") as settings:
            settings.write(SETTINGS.format(folder=self.folder))
        (self.data / "pg_hba.conf").write_text(ACCESS)

    def key(self, name: str) -> None:
        self.run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name)
        (self.folder / name).chmod(0o600)

    def start(self) -> None:
        self.run(self.programs / "pg_ctl", "start", "--wait", "--silent", "--pgdata", self.data, "--log",
                 self.folder / "server.log", "--options", f"-p {self.port}")

    def end(self) -> None:
        for data in [*self.followers, self.data]:
            self.run(self.programs / "pg_ctl", "stop", "--wait", "--silent", "--mode=immediate", "--pgdata", data)

    def stop(self) -> None:
        self.run(self.programs / "pg_ctl", "stop", "--wait", "--silent", "--mode=immediate", "--pgdata", self.data)

    def certificate(self, name: str) -> None:
        for ending in ("pem", "key"):
            place = self.folder / f"server.{ending}"
            shutil.copy(self.folder / f"{name}.{ending}", place)
            place.chmod(0o600)
            if self.owner:
                os.chown(place, self.owner["user"], self.owner["group"])

    def reload(self) -> None:
        self.run(self.programs / "pg_ctl", "reload", "--silent", "--pgdata", self.data)

    def standby(self) -> int:
        """Starts a server that follows this one, and gives its port."""
        follows, port = self.folder / "standby", free_port()
        self.run(self.programs / "pg_basebackup", "--host", self.folder, "--port", str(self.port), "--username", "postgres",
                 "--pgdata", follows, "--wal-method=stream", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
        self.run(self.programs / "pg_ctl", "start", "--wait", "--silent", "--pgdata", follows, "--log",
                 self.folder / "standby.log", "--options", f"-p {port}")
        self.followers.append(follows)
        return port

    def do(self, line: str) -> dict[str, Any]:
        match line.split():
            case ["standby"]:
                return {"port": self.standby()}
            case ["restart"]:
                self.stop()
                self.start()
            case ["stop"]:
                self.stop()
            case ["start"]:
                self.start()
            case ["certificate", name] if name in CERTIFICATES:
                self.certificate(name)
                self.stop()
                self.start()
            case ["tls", "on" | "off" as state]:
                with open(self.data / "postgresql.conf", "a") as settings:
                    settings.write(f"ssl = {state}\n")
                self.stop()
                self.start()
            case _:
                raise RuntimeError(f"nobody knows what `{line.strip()}` is")
        return {}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def main() -> None:
    arguments = argparse.ArgumentParser(description="A PostgreSQL server in a scratch folder.")
    arguments.add_argument("--folder", type=Path, help="where it lies [default: a folder that is gone afterwards]")
    given = arguments.parse_args().folder
    folder = given.resolve() if given else Path(tempfile.mkdtemp(prefix="gristmill-postgres-"))
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if not (server.data / "PG_VERSION").exists():
            server.make()
        server.start()
        answer({"port": server.port, "folder": str(folder), "ca": str(folder / "ca.pem")})
        for line in sys.stdin:
            try:
                answer(server.do(line))
            except RuntimeError as error:
                answer({"error": str(error)})
    except RuntimeError as error:
        sys.exit(f"gristmill: {error}")
    finally:
        try:
            server.end()
        except (RuntimeError, OSError):
            pass
        if not given:
            shutil.rmtree(folder, ignore_errors=True)


def answer(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main()
