"""Where queries come from: the embedded passages, or a folder of one's own."""

from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from data.refused import Refused

EMBEDDED = Path(__file__).resolve().parent.parent / "base" / "queries"


class Query(NamedTuple):
    query_id: str
    text: str


def load_queries(source: str, split: Literal["train", "test"]) -> list[Query]:
    """Read the queries of a split from `embedded` or from a folder with train.parquet and test.parquet."""
    path = (EMBEDDED if source == "embedded" else Path(source)) / f"{split}.parquet"
    try:
        table = pq.read_table(path, columns=["query_id", "text"])
    except (OSError, pa.ArrowInvalid, KeyError) as error:
        raise Refused(f"Queries cannot be read from {path}: it must be Parquet with query_id and text.") from error
    rows = zip(table["query_id"].to_pylist(), table["text"].to_pylist(), strict=True)
    queries = [Query(query_id, text) for query_id, text in rows]
    if len({query.query_id for query in queries}) < len(queries):
        raise Refused(f"Queries in {path} repeat a query_id: every query needs one of its own.")
    return queries
