"""Estimates from a base check: how long this machine samples a batch and trains a policy, and with how much memory."""

from data.campaign import Campaign
from models.base_check.texts import Shown
from models.lm.base import Base
from models.lm.memory import shape_of
from models.lm.precision import computing_in, training_precision

TRAINED, FROZEN = 16, 4  # bytes a parameter: weights, gradients and two moments of Adam, or weights alone


def export_seconds(shown: Shown | None, campaign: Campaign) -> float | None:
    """Estimate how long sampling a batch takes; None if no response was valid."""
    if shown is None or not shown.valid:
        return None
    return shown.seconds * campaign.batch.questions * campaign.batch.samples / shown.valid


def policy_seconds(shown: Shown | None, trained: float | None, campaign: Campaign) -> float | None:
    """Estimate how long the training of a policy takes, if a response takes `trained` seconds in one epoch.

    A response is sampled, trained on in each epoch, and read by the reference and the reward model, which takes about
    as long as an epoch. None if the base cannot be trained.
    """
    if shown is None or trained is None:
        return None
    return campaign.policy.episodes * (shown.seconds / shown.sampled + (campaign.policy.epochs + 1) * trained)


def policy_bytes(base: Base, campaign: Campaign) -> int:
    """Estimate the memory of the training of a policy: its state, the reference, the reward models, a micro-batch."""
    settings, text, parameters = campaign.policy, campaign.text, base.model.num_parameters()
    trained = 2 if settings.value_model == "separate" else 1
    predicted = settings.responses_per_query * text.response_tokens
    length = len(base.prompts(text).surround([])) + text.query_tokens + predicted
    with computing_in(training_precision(base.model)):
        rows = settings.micro_batch * trained * shape_of(base.model).training(length, predicted)
    return parameters * (TRAINED * trained + FROZEN * (1 + campaign.reward.models)) + rows
