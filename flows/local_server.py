"""Server, work pools, workers and deployments on this machine: `make deploy-local`, and what the tests run on.

Everything it starts, it stops: each process leads a group of its own, is told to end, and is killed if it will not.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
POOLS = ("andon-cpu", "andon-gpu")
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
BUSY_TRIES = 60
STARTUP_S = 240  # a first start migrates its database; on a busy machine that takes minutes
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "andon",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
}


class Platform:
    """A running server with what was started around it."""

    def __init__(self, home: Path, store: str, database: str | None = None) -> None:
        self.home = home
        self.port = _free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        self.environment |= {
            **QUIET,
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_UI_URL": f"http://127.0.0.1:{self.port}",
            "ANDON_HOME": str(ROOT),
            "ANDON_STORE": store,
            "ANDON_LAUNCH": self.environment.get("ANDON_LAUNCH", str(ROOT / "deploy/accelerate/one-gpu.yaml")),
            "PYTHONPATH": str(ROOT),
        }
        if database is not None:
            self.environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start the server, and return when it answers."""
        self._spawn("server", "server", "start", "--host", "127.0.0.1", "--port", str(self.port))
        deadline = time.monotonic() + STARTUP_S
        while time.monotonic() < deadline:
            if (ended := self.running["server"].poll()) is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.environment['PREFECT_API_URL']}/health", timeout=5):
                    return
            except OSError:
                time.sleep(0.2)
        raise RuntimeError(f"Prefect's server did not start ({ended}); its log is {self.home / 'server.log'}.")

    def deploy(self) -> None:
        """Create the work pools and every deployment of deploy/prefect.yaml."""
        from prefect.workers.process import ProcessWorker

        for pool in POOLS:  # as `prefect work-pool create` does, which takes seconds to start
            template = ProcessWorker.get_default_base_job_template()
            self.ask("work_pools/", {"name": pool, "type": "process", "base_job_template": template})
        self.prefect("--no-prompt", "deploy", "--all", "--prefect-file", "deploy/prefect.yaml")

    def work(self, pool: str) -> subprocess.Popen[bytes]:
        """Start a worker of a pool."""
        return self._spawn(f"worker-{pool}", "worker", "start", "--pool", pool)

    def prefect(self, *arguments: str) -> str:
        """Run a command of Prefect's; raise RuntimeError with what it said where it fails."""
        command = [sys.executable, "-m", "prefect", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"prefect {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def stop(self) -> None:
        """End everything that was started, workers before the server they report to."""
        for child in reversed(self.running.values()):
            _end(child)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the server, and again for a minute while it is busy: on SQLite it answers 503 then."""
        address, headers = f"{self.environment['PREFECT_API_URL']}/{path}", {"Content-Type": "application/json"}
        request = urllib.request.Request(address, None if body is None else json.dumps(body).encode(), headers)
        for _ in range(BUSY_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
                time.sleep(1)
        raise RuntimeError(f"Prefect's server is busy for a minute; its log is {self.home / 'server.log'}.")

    def run(self, deployment: str, parameters: Mapping[str, str]) -> tuple[str, str]:
        """Run a deployment to its end, and return the name and the message of the state that it ended in."""
        found = self.ask(f"deployments/name/{deployment}")["id"]
        run = self.ask(f"deployments/{found}/create_flow_run", {"parameters": dict(parameters)})["id"]
        while (state := self.ask(f"flow_runs/{run}")["state"])["type"] not in FINAL:
            time.sleep(1)
        return state["name"], state["message"] or ""

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.home / f"{name}.log").open("ab")
        command = [sys.executable, "-m", "prefect", *arguments]
        child = subprocess.Popen(
            command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.running[name] = child
        return child


@contextmanager
def platform(home: Path, store: str, database: str | None = None) -> Iterator[Platform]:
    """Bring up server and deployments on a free port, and take everything down at the end."""
    home.mkdir(parents=True, exist_ok=True)
    running = Platform(home, store, database)
    try:
        running.start()
        running.deploy()
        yield running
    finally:
        running.stop()


def _end(child: subprocess.Popen[bytes], grace_s: float = 20) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sent)
        except ProcessLookupError:
            return
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def round_parameters(campaign: str, preset: str | None) -> Mapping[str, str]:
    return {"campaign": campaign} | ({"preset": preset} if preset else {})


def main() -> None:
    """Bring it all up, run a round through it, say where to look, and wait for Ctrl-C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--store", default="andon-store")
    parser.add_argument("--campaign", default="sentiment")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--once", action="store_true", help="end after the round")
    asked = parser.parse_args()
    store = asked.store if "://" in asked.store else str(Path(asked.store).absolute())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="andon-prefect-") as home:
        sys.stdout.write("starting Prefect's server, two work pools, two workers and the deployments ...\n")
        try:
            with platform(Path(home), store) as running:
                for pool in POOLS:
                    running.work(pool)
                sys.stdout.write(f"look at it    {running.environment['PREFECT_UI_URL']}/deployments\n")
                sys.stdout.write(f"talk to it    export PREFECT_API_URL={running.environment['PREFECT_API_URL']}\n")
                sys.stdout.write(f"a round of {asked.campaign} begins; its page is under Runs\n")
                sys.stdout.flush()
                ended, why = running.run("batch-round/batch_round", round_parameters(asked.campaign, asked.preset))
                sys.stdout.write(f"it ended      {ended}{': ' * bool(why)}{why}; andon status --store {store}\n")
                if asked.once and ended != "Completed":
                    sys.exit(1)
                if not asked.once:
                    sys.stdout.write("stop it       Ctrl-C; what is published stays in the store\n")
                    sys.stdout.flush()
                    signal.pause()
        except KeyboardInterrupt:
            sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main()
