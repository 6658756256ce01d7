"""A real S3 server for the tests: SeaweedFS, which holds conditional puts, checksums and signatures."""

import json
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boto3.session import Session
from botocore.config import Config

BUCKET = "andon-tests"
ADMIN = {"AWS_ACCESS_KEY_ID": "andon-admin", "AWS_SECRET_ACCESS_KEY": "secret-of-the-admin"}
READER = {"AWS_ACCESS_KEY_ID": "andon-reader", "AWS_SECRET_ACCESS_KEY": "secret-of-the-reader"}
STARTS_WITHIN_S = 600  # a busy machine is slow, not wrong


def free_port() -> int:
    """Return a port that is free, and whose neighbour 10,000 above, which SeaweedFS takes for grpc, is free too."""
    while True:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            if port >= 55_000:
                continue
            try:
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
            return port


class Server:
    """A running server and the environment in which boto3 finds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = {"AWS_ENDPOINT_URL_S3": self.endpoint, "AWS_DEFAULT_REGION": "us-east-1", **ADMIN}
        rights = [(ADMIN, ["Admin"]), (READER, [f"Read:{BUCKET}", f"List:{BUCKET}"])]
        identities = [
            {
                "name": keys["AWS_ACCESS_KEY_ID"],
                "credentials": [{"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}],
                "actions": actions,
            }
            for keys, actions in rights
        ]
        folder.mkdir(parents=True)
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        self.others = {name: free_port() for name in ("master", "volume", "filer")}

    def start(self) -> None:
        """Start the server on its folder and wait until it takes a request; raise RuntimeError where it does not."""
        weed = Path(sysconfig.get_path("scripts")) / "weed"
        command = [
            str(weed),
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-dir={self.folder}/data",
            "-filer",
            "-s3",
        ]
        command += [f"-s3.config={self.folder}/s3.json", f"-s3.port={self.port}", "-s3.iam=false"]
        command += [f"-{name}.port={port}" for name, port in self.others.items()]
        command += ["-master.telemetry=false", "-master.peers=none", "-master.volumeSizeLimitMB=256", "-volume.max=100"]
        command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-volume.preStopSeconds=0"]
        command += ["-filer.exposeDirectoryData=false"]
        command += [f"-{name}.localSocket={self.folder}/{name}.sock" for name in ("filer", "s3")]
        (self.folder / "data").mkdir(exist_ok=True)
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            try:
                self.client().list_buckets()
                break
            except Exception:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = (self.folder / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"the S3 server of the tests does not start: {said}") from None
                time.sleep(0.1)

    def client(self) -> Any:
        return Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ADMIN["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ADMIN["AWS_SECRET_ACCESS_KEY"],
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def kill(self) -> None:
        """SIGKILL: on SIGTERM it takes its time, and what it acknowledged must survive this anyway."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    """Run a server with one bucket, and remove it with its data."""
    server = Server(folder)
    server.start()
    try:
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
