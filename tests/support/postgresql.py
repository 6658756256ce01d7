"""A real PostgreSQL for the tests of the deployments, as Debian's package `postgresql` installs it."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STARTS_WITHIN_S = 600  # a busy machine is slow, not wrong


@contextmanager
def running() -> Iterator[str]:
    """Start a server on a free port, and yield the address of its empty database as Prefect reads it."""
    programs = _programs()
    owner = "nobody" if os.getuid() == 0 else None  # it refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="andon-postgresql-"))
    if owner:
        shutil.chown(folder, owner)
    said = (folder.parent / f"{folder.name}.log").open("wb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = ["-D", str(folder / "data")]
    trust = ["--username=prefect", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run([f"{programs}/initdb", *data, *trust], check=True, stdout=said, cwd=folder, user=owner)
    where = ["-h", "127.0.0.1", "-p", str(port), "-k", str(folder)]
    server = subprocess.Popen([f"{programs}/postgres", *data, *where], stdout=said, stderr=said, cwd=folder, user=owner)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        ready = [f"{programs}/pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
        while subprocess.run(ready).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {Path(said.name).read_text()[-2000:]}")
            time.sleep(0.1)
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/postgres"
    finally:
        server.terminate()
        server.wait()
        said.close()
        Path(said.name).unlink()
        shutil.rmtree(folder)


def _programs() -> Path:
    """Return the folder of PostgreSQL's programs: of the newest version, where Debian has several."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not found:
        raise RuntimeError("These tests need PostgreSQL's server: install Debian's package postgresql.")
    return found[-1]
