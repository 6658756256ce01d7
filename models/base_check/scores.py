"""Comparisons of a fresh reward model: its scores with those of plain rows, and with those of its saved copy."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor

from data.base_check.facts import CheckCode
from models.base_check.logprobs import Drawn
from models.base_check.material import Material
from models.base_check.stages import Findings
from models.lm.tokens import PAD, pad_left
from models.reward.model import RewardModel, load_reward_model, new_reward_model

GAIN, BIAS = 1.5, 0.25


@torch.no_grad()
def compare_scores(of: Material, drawn: Drawn, findings: Findings) -> None:
    """Compare scores of ragged responses with those of one unpadded row at a time, and with those of a saved copy."""
    with findings.stage("reward model", CheckCode.SCORES):
        model = new_reward_model(of.base.model, 0)
        model.gain.fill_(GAIN)
        model.bias.fill_(BIAS)
        queries, responses = pad_left(of.ragged).to(of.base.model.device), _ragged(drawn.samples.tokens)
        scores = model(queries, responses)
        findings.add(CheckCode.SCORES, float((scores - _plain(model, queries, responses)).abs().max()))
    with findings.stage("copy of the reward model", CheckCode.REWARD_COPY), tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder), of.prompts.padding)
        copy = load_reward_model(Path(folder))
        findings.add(CheckCode.REWARD_COPY, float((scores - copy(queries, responses)).abs().max()))


def _ragged(responses: Tensor) -> Tensor:
    """Return responses [B, k, R] of different lengths, from one token to all, padded on the right."""
    rows, length = responses.flatten(0, 1), responses.shape[-1]
    lengths = torch.linspace(1, length, len(rows), device=rows.device).long()
    behind = torch.arange(length, device=rows.device) >= lengths[:, None]
    return rows.masked_fill(behind, PAD).view(responses.shape)


def _plain(model: RewardModel, queries: Tensor, responses: Tensor) -> Tensor:
    """Return the scores [B, k] by the body's own forward pass."""
    scores = []
    for query, mine in zip(queries, responses, strict=True):
        for response in mine:
            row = torch.cat([query[query != PAD], response[response != PAD]])[None]
            state = model.body(input_ids=row).last_hidden_state[0, -1].float()
            scores.append(model.gain * model.head(state)[0] + model.bias)
    return torch.stack(scores).view(responses.shape[:2])
