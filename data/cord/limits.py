"""The limits of sentinels for one training: those of its campaign, for its length of responses and its rounding.

A campaign's limits of KL are for responses of up to 75 tokens. KL is a sum over tokens, so longer responses have
proportionally higher limits. Rounding in bf16 or fp16 changes log-probs, so their limits are multiples of the noise
that was measured before the first update.
"""

from data.campaign.settings import Sentinels, TextFormat

LENGTH = 75  # tokens of a response up to which the campaign's limits of KL hold as they are
NOISES = 3.0  # multiple of the measured noise that is more than noise


class Limits(Sentinels):
    """The limits of one training."""

    shortest: int  # valid response, in tokens
    longest: int
    moved: float  # deviation of an update's log-prob changes, in nats a response, that is more than noise


def limits_for(sentinels: Sentinels, fmt: TextFormat, noise: float = 0.0) -> Limits:
    """Return the limits for responses of this format, whose log-probs have this mean error in nats a token."""
    longer = max(1.0, fmt.response_tokens / LENGTH)
    from_noise = 4 * fmt.response_tokens * noise**2  # KL of the noise is half its variance a token; tails add to it
    changes = {
        "ratio_error": max(sentinels.ratio_error, NOISES * noise),
        "first_kl": max(longer * sentinels.first_kl, from_noise),
        "kl_least": longer * sentinels.kl_least,
        "kl_most": longer * sentinels.kl_most,
        "kl_jump": longer * sentinels.kl_jump,
    }
    lengths = {"shortest": fmt.truncate_after + 1, "longest": fmt.response_tokens}
    # Every step rounds the weights anew, by more than the first epoch shows; 1.25 makes a mean error a deviation.
    moved = NOISES * 1.25 * noise * fmt.response_tokens**0.5
    return Limits(**sentinels.model_dump() | changes | lengths, moved=moved)
