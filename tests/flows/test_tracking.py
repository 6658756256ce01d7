"""Metrics elsewhere: real event files and a real MLflow store hold what the run's own table holds, once."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.campaign import Campaign
from data.errors import Refused
from data.store import LocalStore
from data.store.manifest import Publication, publish
from tasks.runs import metrics_table
from tasks.tracking import copy_run, to_mlflow, to_tensorboard, track_run

KL = [0.5, 1.25, 4.0]


@pytest.fixture
def run(tmp_path: Path, campaign: Campaign) -> Publication:
    """A finished run of three updates."""
    table: pa.Table = metrics_table(
        {"policy": [{"kl": kl, "score": 0.1} for kl in KL], "reward": [{"loss": 1.3}] * 1200}
    )
    pq.write_table(table, tmp_path / "metrics.parquet")
    rate = {"value": 0.75, "low": 0.7, "high": 0.8, "n": 500}
    facts: dict[str, Any] = {"run": "run-x1", "round": 2, "label_set": "ls1", "base": "embedded", "labels": 800}
    facts |= {
        "kl_nats_per_seq": 4.0,
        "valid": 0.9,
        "win_rate": rate,
        "reward_accuracy": rate,
        "champion_win_rate": None,
    }
    facts["recipe"] = campaign.recipe()
    files: dict[str, Path | bytes] = {"metrics.parquet": tmp_path / "metrics.parquet"}
    store = LocalStore(tmp_path / "store")
    return publish(
        store, "campaigns/c/runs/run-x1", "run", files, inputs={}, facts=facts, began=datetime(2026, 1, 1, tzinfo=UTC)
    )


def test_tensorboard_reads_every_step(run: Publication, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "events"
    assert to_tensorboard(run, "c", str(folder)) and not to_tensorboard(run, "c", str(folder))
    (file,) = (folder / "c" / "run-x1").iterdir()
    events = EventAccumulator(str(file), {"scalars": 0})
    events.Reload()
    assert [(each.step, each.value) for each in events.Scalars("policy/kl")] == list(enumerate(KL))
    assert events.Scalars("outcome/win_rate")[0].value == 0.75 and len(events.Scalars("reward/loss")) == 1200


def test_half_a_copy_is_none(run: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.utils.tensorboard import SummaryWriter

    written = SummaryWriter.add_scalar

    def full(self: SummaryWriter, name: str, value: float, *more: object, **named: object) -> None:
        if value == KL[2]:
            raise OSError("No space left on device")
        written(self, name, value, *more, **named)

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(SummaryWriter, "add_scalar", full)
        to_tensorboard(run, "c", str(tmp_path / "events"))
    assert [*(tmp_path / "events" / "c").iterdir()] == []
    assert to_tensorboard(run, "c", str(tmp_path / "events"))


@pytest.mark.slow
def test_no_password_is_told_and_an_address_is_no_folder(run: Publication) -> None:
    with pytest.raises(Refused, match="postgresql://host/db") as refused:
        copy_run(run.store.uri, "c", "run-x1", "MLFLOW_TRACKING_URI", "postgresql://ann:s3cret@host/db")
    assert "s3cret" not in str(refused.value)
    for where in ("postgresql://ann:s3/cret@host/db", "postgresql://host/db?user=ann&password=s3/cret"):
        with pytest.raises(Refused) as refused:
            copy_run(run.store.uri, "c", "run-x1", "MLFLOW_TRACKING_URI", where)
        assert "cret" not in str(refused.value)
    with pytest.raises(Refused, match="Give a folder"):
        copy_run(run.store.uri, "c", "run-x1", "ANDON_TENSORBOARD", "s3://bucket/events")


def test_mlflow_has_settings_metrics_and_outcome_once(
    run: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # it prefers a database now, which takes longer to make
    from mlflow import MlflowClient

    uri = f"file://{tmp_path / 'mlflow'}"
    assert to_mlflow(run, "c", uri) and not to_mlflow(run, "c", uri)
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("andon-c")
    assert experiment is not None
    (logged,) = client.search_runs([experiment.experiment_id])
    assert logged.data.tags["andon.run"] == "run-x1" and logged.data.params["policy.batch"] == "32"
    assert logged.data.metrics["outcome/win_rate_low"] == 0.7 and logged.info.status == "FINISHED"
    history = client.get_metric_history(logged.info.run_id, "policy/kl")
    assert sorted((each.step, each.value) for each in history) == list(enumerate(KL))


def test_without_the_libraries_it_says_what_to_install(
    run: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(Refused, match=r"pip install .andon\[tensorboard\]"):
        to_tensorboard(run, "c", str(tmp_path))
    with pytest.raises(Refused, match=r"pip install .andon\[mlflow\]"):
        to_mlflow(run, "c", "sqlite://")


def test_a_run_never_fails_for_its_copies(
    run: Publication, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("ANDON_TENSORBOARD", str(tmp_path / "a file"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level("INFO", "andon"):
        track_run.fn(run.store.uri, "c", "run-x1")
        track_run.fn(run.store.uri, "c", "run-of-nobody")
    told = [line for line in caplog.messages if "not copied" in line]
    assert len(told) == 4 and "ANDON_TENSORBOARD" in told[0] and "MLFLOW_TRACKING_URI" in told[1]
    assert "run-of-nobody" in told[2]
    monkeypatch.delenv("ANDON_TENSORBOARD")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    track_run.fn(f"{run.store.uri}/nowhere", "c", "run-x1")
