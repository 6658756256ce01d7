"""The model card that goes with every policy."""

from data.campaign import Campaign


def model_card(campaign: Campaign, run: str, last: dict[str, float]) -> str:
    """Describe a policy for whoever finds its folder."""
    first, start = "", "the base"
    if campaign.supervised is not None:
        first, start = "on references, then ", "the base after fine-tuning on references"
    return f"""# {campaign.name}: policy of {run}

A language model fine-tuned from `{campaign.base}` {first}with PPO against a reward model that was
trained on people's choices.

- Asked of labelers: {campaign.instructions}
- Queries of {campaign.text.query_tokens} tokens, responses of {campaign.text.response_tokens}, temperature
  {campaign.text.temperature}, no top-k. Sample it as it was trained: other lengths and temperatures were not measured.
- {campaign.policy.episodes:,} episodes; at the end KL {last["kl"]:.2f} nats a sequence from {start}.
- What it is made of (labels, reward model, seeds, versions) is in the run's manifest.json; what it does, in its
  report.html. Optimised for one preference of one pool of labelers: do not expect more of it.

Load it: `AutoModelForCausalLM.from_pretrained("<this folder>")`.
"""
