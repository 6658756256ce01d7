"""What taking in a delivery through S3 costs: `python -m bench.speed.ingest_s3 60000`, on a server that it starts.

Five times, each into a store of its own: the batch is published, then the answers are ingested and the label set frozen
as `andon ingest` does, everything that it needs fetched from the server. Prints wall and CPU seconds (without the
server's) and memory.
"""

import tempfile
from pathlib import Path
from unittest.mock import patch

from bench.arguments import parser
from bench.meter import cost_of, report
from bench.speed.ingest_scale import CAMPAIGN, deliver
from data.ingest.pipeline import ingest
from data.labels.label_sets import freeze
from data.store import Store, open_store
from tests.support import seaweed

TIMES = 5


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as temporary, seaweed.running(Path(temporary) / "server") as server:
        for turn in range(TIMES):
            folder = Path(temporary) / str(turn)
            (folder / "scratch").mkdir(parents=True)
            with patch.dict("os.environ", server.environment | {"ANDON_STATE": str(folder / "state")}):
                _take_in(rows, folder, open_store(f"s3://{seaweed.BUCKET}/{turn}"))


def _take_in(rows: int, folder: Path, store: Store) -> None:
    answers = deliver(rows, folder, store)

    def take_in() -> None:
        ingest(store, CAMPAIGN, answers, folder / "scratch")
        freeze(store, CAMPAIGN)

    report(cost_of(rows, take_in))


if __name__ == "__main__":
    arguments = parser("bench.speed.ingest_s3", __doc__)
    arguments.add_argument("rows", type=int, help="rows of the answer file")
    main(arguments.parse_args().rows)
