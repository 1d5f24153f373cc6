"""Writes an OCI bundle for crun from an image's configuration: what `docker run --read-only --network host` would start.

The user, the environment, the command and the volumes are the image's own, so that starting the bundle tests them. Privileges are
the least there are: no capability, no new privileges, a root nobody can write to. The host's network lets the container reach a
service on the host's loopback.
"""

import argparse
import json
import os
import pathlib
import shutil

# The device nodes and file systems every runtime provides.
MOUNTS = [
    {"destination": "/proc", "type": "proc", "source": "proc"},
    {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=64k"]},
    {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=64m"]},
    {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=1777"]},
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", required=True, type=pathlib.Path, help="what `buildah inspect --type image` printed")
    parser.add_argument("--root", type=pathlib.Path, help="the image's mounted root file system")
    parser.add_argument("--bundle", type=pathlib.Path, help="the directory to write")
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help="a variable to pass on from this environment")
    parser.add_argument("--mount", action="append", default=[], metavar="SOURCE:DESTINATION", help="a read-only bind mount")
    parser.add_argument("--print-health-check", action="store_true", help="print the health check's arguments, one a line, and do no more")
    parser.add_argument("arguments", nargs="*", help="in place of the image's CMD")
    options = parser.parse_args()

    image = json.loads(options.image.read_text())["Docker"]["config"]
    if options.print_health_check:
        kind, *command = image["Healthcheck"]["Test"]
        if kind != "CMD":
            raise SystemExit(f"the image's health check is {kind}, which needs a shell; CMD with a list needs none")
        print("\n".join(command))
        return

    shutil.rmtree(options.bundle, ignore_errors=True)
    options.bundle.mkdir(parents=True, mode=0o700)  # the environment may hold keys
    config = configuration(image, options)
    (options.bundle / "config.json").write_text(json.dumps(config, indent=2))


def configuration(image: dict, options: argparse.Namespace) -> dict:
    """The bundle's config.json."""
    user, group = (int(part) for part in image["User"].split(":"))
    mounts = MOUNTS + [bind(source, destination, "ro") for source, destination in (pair.split(":", 1) for pair in options.mount)]
    for number, volume in enumerate(image.get("Volumes") or {}):
        mounts.append(bind(str(fresh_volume(options, number, volume)), volume, "rw"))
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": user, "gid": group},
            "args": (image.get("Entrypoint") or []) + (options.arguments or image.get("Cmd") or []),
            "env": environment(image, options.env),
            "cwd": image.get("WorkingDir") or "/",
            "noNewPrivileges": True,
        },
        "root": {"path": str(options.root), "readonly": True},
        "hostname": "gristmill",
        "mounts": mounts,
        "linux": {"namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]},
    }


def environment(image: dict, names: list[str]) -> list[str]:
    """The image's variables, and those passed on in their place: of two with one name, a program would see the first."""
    variables = dict(pair.split("=", 1) for pair in image.get("Env") or [])
    variables |= {name: os.environ[name] for name in names}
    return [f"{name}={value}" for name, value in variables.items()]


def bind(source: str, destination: str, mode: str) -> dict:
    return {"destination": destination, "type": "bind", "source": source, "options": ["rbind", mode]}


def fresh_volume(options: argparse.Namespace, number: int, volume: str) -> pathlib.Path:
    """A new volume has the owner and the mode of the image's directory, as docker does it."""
    made = options.bundle / f"volume-{number}"
    made.mkdir()
    wanted = (options.root / volume.lstrip("/")).stat()
    shutil.chown(made, wanted.st_uid, wanted.st_gid)
    made.chmod(wanted.st_mode & 0o7777)
    return made.resolve()


if __name__ == "__main__":
    main()
