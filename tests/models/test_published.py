"""Published models in the hands of others: plain transformers, the code of the model card, the same numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, GenerationConfig

from data.campaign import load_campaign
from models.card import model_card, reward_card, write_card
from models.lm.base import Base, save_language_model
from models.lm.tokens import PAD, pad_left, pad_right
from models.reward import classifier
from models.reward.ensemble import Ensemble, load_ensemble
from models.reward.model import new_reward_model
from tests.models.test_tokenizers import base_of
from tests.support.tiny_tokenizers import joining, sentencepiece

TEXT = {"response_tokens": 8, "truncate_after": 2, "prefix": "He said:\n", "suffix": "\nThe words:"}
CAMPAIGN = load_campaign("sentiment", changes={"text": TEXT, "reward": {"models": 2}})
QUERY, RESPONSES = "It was late. They went home.", ["The end of it.", "A man and a dog, he said."]
KINDS: dict[str, Callable[[], Any]] = {"sentencepiece": sentencepiece, "joining": joining}


@pytest.fixture(params=["gpt-2", *KINDS])
def base(request: pytest.FixtureRequest, tiny: Base) -> Base:
    return tiny if request.param == "gpt-2" else base_of(KINDS[request.param]())


def run_card(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the code block of the card in its folder, and return what it defines."""
    monkeypatch.chdir(folder)
    (code,) = [block.split("```")[0] for block in (folder / "README.md").read_text().split("```python\n")[1:]]
    defined: dict[str, Any] = {}
    exec(code, defined)
    return defined


def published_reward(base: Base, folder: Path) -> Ensemble:
    prompts = base.prompts(CAMPAIGN.text)
    ensemble = Ensemble([new_reward_model(base.model, seed) for seed in (0, 1)])
    with torch.no_grad():
        for member, gain, bias in zip(ensemble.members, (1.7, 0.6), (-0.4, 0.9), strict=True):
            member.gain.fill_(gain)
            member.bias.fill_(bias)
            member.head.bias.fill_(0.3)
    missing = ensemble.save(folder, prompts.padding)
    base.tokenizer.save_pretrained(folder)
    write_card(folder, reward_card(CAMPAIGN, "run-1", missing, prompts.padding), prompts)
    return ensemble


def scores(ensemble: Ensemble, base: Base) -> list[float]:
    prompts = base.prompts(CAMPAIGN.text)
    responses = pad_right([prompts.encode_response(text) for text in RESPONSES])
    found: list[float] = ensemble(pad_left([prompts.encode(QUERY) or []]), responses[None])[0].tolist()
    return found


def test_the_card_of_a_reward_model_scores_as_andon_does(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = scores(published_reward(base, tmp_path), base)
    score = run_card(tmp_path, monkeypatch)["score"]
    assert [score(QUERY, response) for response in RESPONSES] == pytest.approx(expected, abs=1e-4)
    assert abs(expected[0] - expected[1]) > 1e-2


def test_so_it_does_for_architectures_without_a_sequence_classifier(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classifier, "_empty", lambda config, size, padding: None)
    expected = scores(published_reward(base, tmp_path), base)
    assert "no sequence classifier" in (tmp_path / "README.md").read_text()
    score = run_card(tmp_path, monkeypatch)["score"]
    assert [score(QUERY, response) for response in RESPONSES] == pytest.approx(expected, abs=1e-4)


def test_a_sequence_classifier_gives_the_scores_also_of_a_padded_batch(base: Base, tmp_path: Path) -> None:
    member = published_reward(base, tmp_path).members[0]
    prompts = base.prompts(CAMPAIGN.text)
    query, padding = prompts.encode(QUERY), prompts.padding
    assert query is not None and padding is not None
    rows = pad_right([query + prompts.encode_response(text) for text in RESPONSES])
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path, trust_remote_code=False).eval()
    assert model.config.num_labels == 1 and model.config.pad_token_id == prompts.padding
    with torch.no_grad():
        found = model(rows.where(rows != PAD, padding), attention_mask=rows != PAD).logits[:, 0]
    rest = member.gain * member.head.bias + member.bias
    lacks = 0.0 if base.model.config.model_type == "gpt2" else float(rest.detach())
    assert (found + lacks).tolist() == pytest.approx(scores(Ensemble([member]), base), abs=1e-4)


def test_andon_reads_back_every_bit_of_it(base: Base, tmp_path: Path) -> None:
    ensemble = published_reward(base, tmp_path)
    for member, loaded in zip(ensemble.members, load_ensemble(tmp_path).members, strict=True):
        state = loaded.state_dict()
        assert all(torch.equal(tensor, state[name]) for name, tensor in member.state_dict().items())


def test_a_policy_generates_what_andon_samples(base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = base.prompts(CAMPAIGN.text)
    monkeypatch.setattr(base.model, "generation_config", GenerationConfig(min_p=0.5, eos_token_id=2))
    save_language_model(base.model, base.tokenizer, tmp_path, prompts)
    context = prompts.contexts([prompts.encode(QUERY) or []])
    model = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=False).eval()
    wanted = {"output_scores": True, "return_dict_in_generate": True}
    out = model.generate(context, attention_mask=torch.ones_like(context), **wanted)
    assert len(out.scores) == CAMPAIGN.text.response_tokens
    with torch.no_grad():
        logits = model(out.sequences).logits[0, context.shape[1] - 1 : -1]
    expected = (logits / CAMPAIGN.text.temperature).log_softmax(-1)
    assert (torch.cat(out.scores).log_softmax(-1) - expected).abs().max() < 1e-4


def test_the_card_of_a_policy_shows_what_people_are_shown(
    base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = base.prompts(CAMPAIGN.text)
    save_language_model(base.model, base.tokenizer, tmp_path, prompts)
    write_card(tmp_path, model_card(CAMPAIGN, "run-1", 3.0), prompts)
    respond = run_card(tmp_path, monkeypatch)["respond"]
    for text in ("The end... of it. And", "The man . A", "He said, he said"):
        tokens = pad_right([prompts.encode_response(text)], 8)
        response = tokens.where(tokens != PAD, prompts.encode_response("a")[0])
        rows: list[torch.Tensor] = []

        def generate(model: Any, row: torch.Tensor, response: torch.Tensor = response, **_: Any) -> torch.Tensor:
            rows.append(row)  # noqa: B023
            return torch.cat([row, response], 1)

        monkeypatch.setattr(type(base.model), "generate", generate)
        cut, valid = prompts.truncate(response)
        assert respond(QUERY) == (prompts.decode(cut[0].tolist()) if valid.all() else None)
        assert torch.equal(rows[0], prompts.contexts([prompts.encode(QUERY) or []]))
