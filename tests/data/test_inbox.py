"""What vendors drop into the inbox is taken once, refused once, and never changed."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from data.batches.index import batches
from data.batches.schema import write_table
from data.campaign import Campaign, load_campaign
from data.campaign.campaign import SHIPPED
from data.canonical import seal
from data.errors import Refused
from data.ingest import inbox
from data.ingest.codes import FileRefused, RefusalCode
from data.ingest.pipeline import ingest
from data.ingest.refusal import refusals
from data.labels.table import deliveries
from data.paths import comparisons_of
from data.store import LocalStore
from flows.cli.ingest import deliver
from flows.cli.status import status_result
from tasks.inbox import ingest_waiting
from tasks.labels import ingest_file
from tests.support.bad_files import KEY, VENDOR
from tests.support.vendor import Round, publish_batch


def dropped(sent: Round, name: str, content: bytes, batch: str = "b1") -> Path:
    path = sent.store.root / "campaigns/c/inbox" / batch / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def whole(sent: Round) -> bytes:
    write_table(pa.Table.from_pylist(sent.answers()), sent.folder / "whole.parquet")
    return (sent.folder / "whole.parquet").read_bytes()


def test_a_dropped_file_waits_until_it_is_taken(sent: Round, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    file = dropped(sent, "acme-1.parquet", whole(sent))
    (waits,) = inbox.pending(sent.store, "c")
    assert waits.file == file and waits.batch["batch"] == "b1"
    ingest(sent.store, "c", waits.file, tmp_path / "scratch")
    assert list(inbox.pending(sent.store, "c")) == [], "neither the vendor's file nor the store's copy of it waits"
    dropped(sent, "the-same-again.parquet", whole(sent))
    assert list(inbox.pending(sent.store, "c")) == []
    assert file.read_bytes() == whole(sent) and len(deliveries(sent.store, "c")) == 1


def test_half_a_file_is_refused_once_and_taken_when_it_is_whole(sent: Round) -> None:
    content = whole(sent)
    dropped(sent, "acme-1.parquet", content[: len(content) // 2])
    (half,) = inbox.pending(sent.store, "c")
    inbox.refuse_delivery(sent.store, half, Refused("not a whole Parquet file"))
    assert list(inbox.pending(sent.store, "c")) == [], "what was refused is not tried for ever"
    (refusal,) = refusals(sent.store, "c")
    assert (refusal.file, refusal.text, refusal.code) == (half.key, "not a whole Parquet file", "other")
    dropped(sent, "acme-1.parquet", content)
    assert [each.digest for each in inbox.pending(sent.store, "c")] != [half.digest]


@pytest.mark.slow
def test_a_file_that_a_person_was_refused_is_listed_until_it_is_taken_and_waits_for_nobody(sent: Round) -> None:
    inverted = sent.answers("inverted")
    broken = [row | {"best": 9} for row in sent.answers()]
    for rows, said in ((broken, "cannot be used"), (inverted, "answers look inverted")):
        with pytest.raises(Refused, match=said):
            sent.deliver(rows)
    assert list(inbox.pending(sent.store, "c")) == [], "the store's copies of them are judged"
    first, second = sorted(refusal.text for refusal in refusals(sent.store, "c"))
    assert sorted(refusal.code for refusal in refusals(sent.store, "c")) == ["answers_inverted", "unusable_rows"]
    assert "1,440 of 1,440 rows cannot be used: more than 5%" in first and "answers look inverted: " in second
    sent.deliver(inverted, despite="the vendor was asked for the worst")
    assert [refusal.text for refusal in refusals(sent.store, "c")] == [first]


def test_status_lists_what_was_refused_of_comparisons_too(sent: Round) -> None:
    (batch,) = batches(sent.store, "c")
    said = sent.folder / "zed.jsonl"
    delivery = inbox.Delivery(comparisons_of("c"), batch, "zed.jsonl", said, "d1")
    inbox.refuse_delivery(sent.store, delivery, FileRefused(RefusalCode.UNREADABLE, "it is empty"))
    (campaign,) = status_result(sent.store.uri)["campaigns"]
    assert campaign["refused"] == [{"file": "zed.jsonl", "code": "unreadable", "reason": "it is empty"}]


def test_refusals_of_older_stores_are_read(sent: Round) -> None:
    older = [
        {"file": "a.csv", "file_sha256": "a" * 64, "batch": "b1", "reason": "it is empty", "at": "2026-01-02"},
        {
            "file": "b.csv",
            "file_sha256": "b" * 64,
            "batch": "b1",
            "fault": "answers look inverted",
            "evidence": "0.1",
            "at": "2026-01-01",
        },
    ]
    for document in older:
        sent.store.put_new(f"campaigns/c/quality/refused/{document['file_sha256']}.json", seal(document))
    assert [(each.file, each.code, each.text) for each in refusals(sent.store, "c")] == [
        ("b.csv", "answers_inverted", "answers look inverted: 0.1"),
        ("a.csv", "other", "it is empty"),
    ]


def test_what_could_lead_out_of_the_inbox_is_passed_over(sent: Round, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("question_id\n")
    link = dropped(sent, "x", b"").with_name("link.csv")
    link.symlink_to(tmp_path / "secret")
    link.with_name("x").unlink()
    dropped(sent, ".hidden", b"x")
    dropped(sent, "a name with spaces.csv", b"x")
    os.link(tmp_path / "secret", link.with_name("hard.csv"))
    os.mkfifo(link.with_name("pipe.csv"))
    assert list(inbox.pending(sent.store, "c")) == []
    whole_folder = link.parent.rename(tmp_path / "elsewhere")
    (whole_folder / "answers.csv").write_text("question_id\n")
    link.parent.symlink_to(whole_folder)
    assert list(inbox.pending(sent.store, "c")) == []


def test_a_file_is_dropped_for_a_batch_that_exists(sent: Round) -> None:
    (sent.folder / "a.csv").write_text("question_id\n")
    with pytest.raises(Refused, match="it has: b1"):
        inbox.put_in_inbox(sent.store, "c", "b2", sent.folder / "a.csv")
    key = inbox.put_in_inbox(sent.store, "c", "b1", sent.folder / "a.csv")
    assert key == inbox.put_in_inbox(sent.store, "c", "b1", sent.folder / "a.csv")
    assert [each.key for each in inbox.pending(sent.store, "c")] == [key]


def test_the_command_drops_for_a_name_or_its_file_and_for_comparisons_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    store, asked = LocalStore(tmp_path / "store"), comparisons_of("sentiment")
    publish_batch(store, "sentiment", "b1", VENDOR, KEY)
    publish_batch(store, asked, "b2", VENDOR, KEY)
    answers = tmp_path / "answers.csv"
    answers.write_text("question_id\n")
    deliver("sentiment", "b1", answers, store.uri)
    deliver(str(SHIPPED / "sentiment.toml"), "b2", answers, store.uri)
    for namespace in ("sentiment", asked):
        (arrived,) = inbox.pending(store, namespace)
        assert arrived.name == namespace and arrived.file.read_text() == "question_id\n"


def test_a_delivery_that_fails_unforeseen_keeps_no_other_from_being_taken(
    sent: Round, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_batch(sent.store, "c", "b2", VENDOR, KEY, {"campaign": load_campaign("sentiment").model_dump(mode="json")})
    for name in ("aaa.parquet", "bbb.parquet", "ccc.parquet"):
        dropped(sent, name, name.encode(), "b2")

    def take(store: str, campaign: Campaign, file: Path) -> None:
        if file.name == "aaa.parquet":
            raise ZeroDivisionError("nobody thought of it")
        if file.name == "bbb.parquet":
            raise Refused("not a whole file")

    monkeypatch.setattr(ingest_file, "fn", take)
    with pytest.raises(ExceptionGroup, match="1 deliveries were taken, and 1 could not be") as failed:
        ingest_waiting.fn(str(sent.store.root), "c")
    assert [each.__notes__ for each in failed.value.exceptions] == [
        ["while campaigns/c/inbox/b2/aaa.parquet was taken in"]
    ]
    assert [each.file.name for each in inbox.pending(sent.store, "c")] == ["aaa.parquet", "ccc.parquet"], "tried again"
