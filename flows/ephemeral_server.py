"""Prefect's ephemeral server, started so that it ends with the process that started it.

Without a server of its own address, a flow starts one on loopback. Prefect stops it at the end of the process. If the
process is killed, Prefect's own command would leave a server running that anyone on this machine may use.
"""

import os
import subprocess
from typing import Any

import prefect
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import get_current_settings

from andon_launcher import command


def start_as_child() -> None:
    """Have Prefect start its ephemeral servers through andon_launcher."""
    SubprocessASGIServer._run_uvicorn_command = _run_uvicorn_command  # type: ignore[method-assign, assignment]


def stop() -> None:
    """Stop the server of this process, if it has one."""
    SubprocessASGIServer().stop()


def _run_uvicorn_command(server: SubprocessASGIServer) -> subprocess.Popen[Any]:
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    private = {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"}
    place = ["--app-dir", str(prefect.__module_path__.parent), "--host", "127.0.0.1", "--port", str(server.port)]
    options = [*place, "--log-level", "error", "--lifespan", "on", "--timeout-graceful-shutdown", "5"]
    child = command("uvicorn", *options, "--factory", "prefect.server.api.server:create_app")
    return subprocess.Popen(child, env={**os.environ, **private, **settings})
