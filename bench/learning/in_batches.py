"""Labels in several batches before one training: `python -m bench.learning.in_batches CAMPAIGN LABELS SEED STORE`.

A batch asks nothing twice of a query, so it holds no more questions than there are queries. More labels of the base's
samples take several batches; every batch is of the base, for there is no champion before the training.
"""

import tempfile
from pathlib import Path

from bench.arguments import parser
from data.campaign import load_campaign
from flows.cli.environment import prepare

PRESET = "small"  # as in bench/learning/experiments.py
MOST = 5_000  # labels in a batch; the embedded base has 6,519 queries


def main(campaign: str, labels: int, seed: int, store: str) -> None:
    prepare(store)
    # Prefect reads its settings when it is imported.
    from flows.export_batch import export_batch
    from flows.ingest_labels import ingest_labels
    from flows.retrain import retrain
    from tasks.labels import answer_batch

    batches = -(-labels // MOST)
    for number in range(1, batches + 1):
        batch = export_batch(campaign, store, labels // batches, seed + number - 1, None, PRESET, number)
        with tempfile.TemporaryDirectory() as folder:
            answers = answer_batch(store, load_campaign(campaign, PRESET), batch, Path(folder))
            if answers is not None:
                ingest_labels(campaign, store, answers)
    retrain(campaign, store, seed, None, PRESET, batches)


if __name__ == "__main__":
    arguments = parser("bench.learning.in_batches", __doc__)
    arguments.add_argument("campaign")
    arguments.add_argument("labels", type=int)
    arguments.add_argument("seed", type=int)
    arguments.add_argument("store")
    given = arguments.parse_args()
    main(given.campaign, given.labels, given.seed, given.store)
