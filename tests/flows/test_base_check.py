"""A base is checked before labels are bought, once for all that it depends on, and before anything is sampled."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from data.base_check.facts import CheckCode, findings
from data.base_check.registry import facts_of
from data.batches.index import batches
from data.campaign import Campaign
from data.errors import Refused
from data.paths import campaign_prefix
from data.store import LocalStore
from models.base_check.material import check_inputs
from models.lm import sampling
from models.lm.base import Base
from models.lm.head import logits
from tasks import base_check
from tasks.base_check import checked_base, require_check
from tasks.batches import publish_batch
from tests.support.command import Andon


@pytest.fixture(autouse=True)
def _nothing_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_check, "_CHECKED", {})


def break_sampling(patch: pytest.MonkeyPatch) -> None:
    """Sample at another temperature than the campaign's."""

    def hotter(model: Any, states: Tensor, temperature: float = 1.0) -> Tensor:
        return logits(model, states, 1.1 * temperature)

    patch.setattr(sampling, "logits", hotter)


def not_again(*_: object) -> None:
    pytest.fail("the base is checked again")


def test_a_check_is_done_once_for_all_that_it_depends_on(
    campaign: Campaign, tiny: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    first = checked_base(store, campaign, tiny)
    assert facts_of(first)["passed"] and "Passed." in first.path("report.html").read_text()
    monkeypatch.setattr(base_check, "check_base", not_again)
    asked_less = campaign.model_copy(update={"batch": campaign.batch.model_copy(update={"questions": 3})})
    assert checked_base(store, asked_less, tiny).prefix == first.prefix
    inputs = check_inputs(tiny, campaign)
    for field, value in inputs._asdict().items():
        other: Any = {"query_tokens": 3} if field == "text" else 10 if field == "samples" else "another"
        assert inputs._replace(**{field: other}).prefix("c") != inputs.prefix("c"), (field, value)


def test_nothing_is_sampled_or_trained_with_a_base_that_fails(
    campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LocalStore(tmp_path / "store")
    break_sampling(monkeypatch)
    steps: list[Callable[[], object]] = [
        lambda: publish_batch.fn(store.uri, campaign, 1, 0),
        lambda: require_check.fn(store.uri, campaign),
    ]
    for step in steps:
        with pytest.raises(
            Refused, match=r"fails its check.*log-probs of sampling: 0.*nats a token.*more.*Usual cause"
        ) as refusal:
            step()
        assert "\n" not in str(refusal.value)
    assert batches(store, campaign.name) == []
    checks = f"{campaign_prefix(campaign.name)}/checks/"
    assert all(key.startswith(checks) for key in store.keys(campaign_prefix(campaign.name)))


@pytest.mark.flow
def test_the_command_shows_a_base_that_passes_and_one_that_fails(
    prefect: None, andon: Andon, tiny_toml: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = andon("check", tiny_toml)
    assert result["passed"] and result["valid"] > 0 and len(result["samples"]) == 6
    assert Path(result["report"]).read_text().count("<tr>") > 20
    monkeypatch.setattr(base_check, "check_base", not_again)
    assert andon("check", tiny_toml)["report"] == result["report"]


def test_a_finding_is_a_comparison_above_its_bound_or_one_that_did_not_end() -> None:
    comparisons = [
        {"code": CheckCode.SAMPLING, "error": 2e-4, "bound": 1e-4, "detail": ""},
        {"code": CheckCode.DRAWS, "error": 1e-4, "bound": 1e-4, "detail": ""},
        {"code": CheckCode.COPY, "error": 1.0, "bound": 0, "detail": ""},
        {"code": CheckCode.SCORES, "error": None, "bound": 1e-4, "detail": ""},
    ]
    found: Any = findings(comparisons)  # type: ignore[arg-type]
    assert [each["code"] for each in found] == [CheckCode.SCORES, CheckCode.COPY, CheckCode.SAMPLING]
