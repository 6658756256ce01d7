"""Print what the embedded base writes: a few test queries, each with two responses, not selected."""

import torch

from data.campaign import load_campaign
from data.campaign.queries import load_queries
from models.lm.base import open_base
from models.lm.sampling import draw_noise, sample
from models.lm.tokens import pad_left


def main() -> None:
    rules, base = load_campaign("sentiment").text, open_base("embedded")
    prompts = base.prompts(rules)
    encoded = (prompts.encode(query.text) for query in load_queries(rules, "test"))
    queries = [tokens for tokens in encoded if tokens][:4]
    noise = draw_noise(len(queries), 2, rules, torch.Generator().manual_seed(0))
    samples = sample(base.model, pad_left(queries), noise, rules)
    for query, responses in zip(queries, samples.tokens.tolist(), strict=True):
        print(f"QUERY     ... {' '.join(prompts.decode(query).split())[-84:]}")
        for response in responses:
            print(f"RESPONSE  {' '.join(prompts.decode(response).split())}")
        print()


if __name__ == "__main__":
    main()
