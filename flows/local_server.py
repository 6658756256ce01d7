"""Server, work pools, workers and deployments on this machine: `make deploy-local`, and what the tests run on.

Everything that is started here is stopped here. Each process leads a group of its own, gets SIGTERM, and then SIGKILL.
If this process is killed, each of them ends its group itself.
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

from andon_launcher import command

ROOT = Path(__file__).resolve().parent.parent
POOLS = ("andon-cpu", "andon-gpu")
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
BUSY_RETRIES = 60
STARTUP_S = 240  # a first start migrates its database; on a busy machine that takes minutes
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_EXTRA_LOGGERS": "andon",
    "PREFECT_WORKER_QUERY_SECONDS": "2",
}


class Platform:
    """A running Prefect server, with its workers."""

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
        """Start the server, and wait until it answers."""
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
        raise RuntimeError(f"Prefect's server did not start ({ended}). Its log is {self.home / 'server.log'}.")

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
        """Run a command of Prefect and return its output; raise RuntimeError with the output if it fails."""
        started = command("prefect", *arguments)
        done = subprocess.run(started, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"prefect {' '.join(arguments)}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def stop(self) -> None:
        """Stop everything that was started: first the workers, then the server that they report to."""
        for child in reversed(self.running.values()):
            _end(child)

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request to the server, and repeat it for a minute while SQLite is busy, which is status 503."""
        address, headers = f"{self.environment['PREFECT_API_URL']}/{path}", {"Content-Type": "application/json"}
        request = urllib.request.Request(address, None if body is None else json.dumps(body).encode(), headers)
        for _ in range(BUSY_RETRIES):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
                time.sleep(1)
        raise RuntimeError(f"Prefect's server has been busy for a minute. Its log is {self.home / 'server.log'}.")

    def run(self, deployment: str, parameters: Mapping[str, str]) -> tuple[str, str]:
        """Run a deployment to its end, and return the name and the message of its final state."""
        deployment_id = self.ask(f"deployments/name/{deployment}")["id"]
        run = self.ask(f"deployments/{deployment_id}/create_flow_run", {"parameters": dict(parameters)})["id"]
        while (state := self.ask(f"flow_runs/{run}")["state"])["type"] not in FINAL:
            time.sleep(1)
        return state["name"], state["message"] or ""

    def _spawn(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        log = (self.home / f"{name}.log").open("ab")
        child = subprocess.Popen(
            command("prefect", *arguments),
            cwd=ROOT,
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.running[name] = child
        return child


@contextmanager
def platform(home: Path, store: str, database: str | None = None) -> Iterator[Platform]:
    """Start server and deployments on a free port, and stop everything at the end."""
    home.mkdir(parents=True, exist_ok=True)
    running = Platform(home, store, database)
    try:
        running.start()
        running.deploy()
        yield running
    finally:
        running.stop()


def _end(child: subprocess.Popen[bytes], grace_s: float = 20) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, number)
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
    """Start everything, run a round, print the addresses, and wait for Ctrl-C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--store", default="andon-store")
    parser.add_argument("--campaign", default="sentiment")
    parser.add_argument("--preset", default="demo")
    parser.add_argument("--once", action="store_true", help="end after the round")
    options = parser.parse_args()
    store = options.store if "://" in options.store else str(Path(options.store).absolute())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="andon-prefect-") as home:
        sys.stdout.write("starting Prefect's server, two work pools, two workers and the deployments ...\n")
        try:
            with platform(Path(home), store) as running:
                for pool in POOLS:
                    running.work(pool)
                sys.stdout.write(f"pages       {running.environment['PREFECT_UI_URL']}/deployments\n")
                sys.stdout.write(f"commands    export PREFECT_API_URL={running.environment['PREFECT_API_URL']}\n")
                sys.stdout.write(f"a round of {options.campaign} starts; its page is under Runs\n")
                sys.stdout.flush()
                state, message = running.run(
                    "batch-round/batch_round", round_parameters(options.campaign, options.preset)
                )
                outcome = f"{state}: {message}" if message else state
                sys.stdout.write(f"finished    {outcome}; andon status --store {store}\n")
                if options.once and state != "Completed":
                    sys.exit(1)
                if not options.once:
                    sys.stdout.write("stop        Ctrl-C; published results stay in the store\n")
                    sys.stdout.flush()
                    signal.pause()
        except KeyboardInterrupt:
            sys.stdout.write("stopped\n")


if __name__ == "__main__":
    main()
