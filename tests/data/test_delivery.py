"""Files that are not what they should be: each is refused in one line before anything of it is believed."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.errors import Refused
from data.exchange.columns import MOST_COLUMNS, MOST_ROWS
from tests.support.validating import read_rows


def columns(rows: int) -> dict[str, pa.Array]:
    text = pa.repeat("qbcdfghjkmnpqrstvb", rows)
    names = ("question_id", "content_sha256", "labeler_id")
    return {name: text for name in names} | {"best": pa.repeat(0, rows)}


def test_a_small_file_of_very_many_rows_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(pa.table(columns(MOST_ROWS + 1)), path, compression="zstd")
    assert path.stat().st_size < 1_000_000
    with pytest.raises(Refused, match="rows, more than"):
        (read_rows(path))


def test_a_file_of_very_many_columns_is_refused(tmp_path: Path) -> None:
    wide = columns(1) | {f"c{n}": pa.array([n]) for n in range(MOST_COLUMNS)}
    pq.write_table(pa.table(wide), tmp_path / "wide.parquet")
    with pytest.raises(Refused, match="columns, more than"):
        (read_rows(tmp_path / "wide.parquet"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "zip or Excel"),
        (b"\x1f\x8b\x08rest", "gzip"),
        (b"ARROW1\x00\x00rest", "Arrow IPC"),
        (b"PAR1 and nothing else", "not a whole Parquet"),
        ("question_id,content_sha256,labeler_id,best\nä,b,c,1\n".encode("utf-16"), "neither Parquet nor UTF-8|lacks"),
        (b"question_id,content_sha256,labeler_id,best\n\xe4,b,c,1\n", "neither Parquet nor UTF-8|not a whole CSV"),
        (b"question_id;content_sha256;labeler_id;best\na;b;c;1\n", "commas"),
        (b"question_id,content_sha256,labeler_id,best\n", "no rows"),
        (b"question_id,content_sha256,labeler_id,Best\na,b,c,1\n", "lacks the column best"),
        (b"question_id,best,labeler_id,best,content_sha256\na,1,c,1,b\n", "twice"),
    ],
)
def test_what_is_no_table_of_answers_is_refused(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "delivery.parquet"  # names say nothing
    path.write_bytes(content)
    with pytest.raises(Refused, match=said) as refusal:
        read_rows(path)
    assert "\n" not in str(refusal.value) and "delivery.parquet" in str(refusal.value)


def test_the_child_that_reads_a_file_waits_for_no_library_that_it_does_not_use() -> None:
    code = "import sys, data.ingest.sandbox\nfrom data.exchange.registry import all_formats\n"
    code += "assert len(all_formats()) > 5\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    slow = {"pydantic", "data.campaign", "pandas", "scipy", "torch", "prefect", "data.store"}
    assert "pyarrow" in done.stdout and not slow & set(done.stdout.split())
