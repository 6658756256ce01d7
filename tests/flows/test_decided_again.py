"""What names a run: with another bar it is decided again, with another evaluation measured again, and never trained."""

import shutil
from pathlib import Path

import pytest

from data.runs.champion import promotion_log
from data.store import LocalStore
from tests.support.command import Andon, files_of

pytestmark = [pytest.mark.flow, pytest.mark.usefixtures("prefect")]
TRAINED = ("/reward/", "/policy/", "/batches/", "/label_sets/")


def trained(store: Path) -> dict[str, float]:
    return {name: when for name, when in files_of(store).items() if any(part in name for part in TRAINED)}


def test_another_bar_decides_again_and_another_evaluation_measures_again_without_training(
    andon: Andon, first_run: str, tiny_toml: Path, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path / "store")
    shutil.rmtree(tmp_path / "store/campaigns/sentiment/promotions")  # as if it had been killed before the gate
    evaluations = tmp_path / f"store/campaigns/sentiment/runs/{first_run}/evaluations"
    before, (first,) = trained(tmp_path / "store"), [path.name for path in evaluations.iterdir()]
    text = tiny_toml.read_text()
    strict = text.replace("win_rate_above = 0.0", "win_rate_above = 0.99")

    def retrain(settings: str) -> list[str]:
        """Retrain with these settings, and return where the evaluation lies that each decision goes by."""
        tiny_toml.write_text(settings)
        assert andon("retrain", tiny_toml)["run"] == first_run
        assert trained(tmp_path / "store") == before, "nothing is trained"
        return [f"{entry['kind']} {Path(str(entry['evaluation'])).name}" for entry in promotion_log(store, "sentiment")]

    assert retrain(strict) == retrain(strict) == [f"keep {first}"], "decided once by these settings"
    small = strict.replace("queries = 24", "queries = 8")
    decisions = retrain(small)
    (second,) = {path.name for path in evaluations.iterdir()} - {first}
    assert decisions == [f"keep {first}", f"keep {second}"], "another evaluation, and a decision on it"
    assert andon("promote", tiny_toml, first_run, code=1)["message"].count("0.99"), "the settings of the last decision"
    loose = small.replace("win_rate_above = 0.99", "win_rate_above = 0.0")
    assert retrain(loose) == [*decisions, f"promote {second}"], "another bar, on the same evaluation"
    assert len(list(evaluations.iterdir())) == 2
    assert promotion_log(store, "sentiment")[-1]["settings"]["promotion"] == {"win_rate_above": 0.0}
