"""Fresh samples of a policy in training for the live wall, always with the same queries and random numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from data.campaign import Campaign
from data.console import LOGGER
from data.page.live import LiveSample, publish_live
from data.runs.step_facts import PolicyUpdate
from data.store import Store
from models.lm.base import Base
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import pad_left
from models.ppo.policy import PolicyModel, Score
from models.training.processes import processes


class LiveWall:
    """Publishes samples of the policy after the first update and every `show_every` updates, in the first process.

    It uses no random number of the training, so the training does not depend on it.
    """

    def __init__(
        self, store: Store, campaign: Campaign, run: str, base: Base, score: Score, queries: Sequence[list[int]]
    ) -> None:
        self.store, self.campaign, self.run, self.base, self.score = store, campaign, run, base, score
        self.prompts = base.prompts(campaign.text)
        self.queries = queries[: campaign.watching.shown]
        self.zero_shot: list[str] = []

    def __call__(self, update: int, policy: PolicyModel, metrics: PolicyUpdate) -> None:
        due = update == 1 or update % self.campaign.watching.show_every == 0
        if not due:
            return
        if not self.zero_shot:
            self.zero_shot, _ = self._write(self.base.model)
        responses, scores = self._write(policy.language_model)
        if not processes().is_main:  # the other processes sample too, because they may have parts of the policy
            return
        queries = [self.prompts.decode(query) for query in self.queries]
        samples = [LiveSample(*row) for row in zip(queries, self.zero_shot, responses, scores, strict=True)]
        try:
            publish_live(self.store, self.campaign.name, self.run, update, samples, metrics)
        except Exception as error:  # a missing sample is no reason to stop a training
            LOGGER.warning("the live wall misses update %s: %s", update, error)

    @torch.no_grad()
    def _write(self, model: PreTrainedModel) -> tuple[list[str], list[float]]:
        """Return one truncated response to each query, and its score."""
        prompts, fmt = self.prompts, self.prompts.fmt
        device = next(model.parameters()).device
        noise = draw_noise(len(self.queries), 1, fmt, torch.Generator().manual_seed(0))
        contexts = prompts.contexts(self.queries).to(device)
        tokens = sample(model, contexts, noise, fmt).tokens
        cut, valid = prompts.truncate(tokens)
        scores: Tensor = self.score(pad_left(self.queries).to(device), cut).masked_fill(~valid, fmt.invalid_score)
        texts = [prompts.decode(row) for row in cut[:, 0].tolist()]
        return texts, scores[:, 0].tolist()
