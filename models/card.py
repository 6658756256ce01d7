"""The model card of every policy."""

from data.campaign import Campaign


def model_card(campaign: Campaign, run: str, kl: float) -> str:
    """Return the README of a policy's folder. `kl` is that of the last update, in nats a sequence."""
    first, start = "", "the base"
    if campaign.supervised is not None:
        first, start = "on references, then ", "the base after fine-tuning on references"
    return f"""# {campaign.name}: policy of {run}

A language model fine-tuned from `{campaign.base}` {first}with PPO against a reward model that was
trained on people's choices.

- Instructions for labelers: {campaign.instructions}
- Queries of {campaign.text.query_tokens} tokens, responses of {campaign.text.response_tokens}, temperature
  {campaign.text.temperature}, no top-k. Other lengths and temperatures were not measured.
- {campaign.policy.episodes:,} episodes; at the end KL {kl:.2f} nats a sequence from {start}.
- The run's manifest.json has its labels, reward model, seeds and versions; report.html has its evaluation. The model is
  optimised for one preference of one pool of labelers, and for nothing else.

Load it: `AutoModelForCausalLM.from_pretrained("<this folder>")`.
"""
