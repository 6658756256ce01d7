"""A real PPO run in an own process: `python -m tests.support.tiny_training STORE` prints the time of each update."""

import sys
import time

import torch

from data.campaign import load_campaign
from data.errors import Stopped
from models.lm.base import open_base
from models.lm.query_list import query_tokens
from models.ppo.train import PolicyHooks, train_policy
from models.training.job import Job, quarantined


def main(store: str) -> None:
    torch.set_num_threads(1)
    campaign = load_campaign("sentiment", changes={"policy": {"batch": 32, "episodes": 32_000}})
    base, job = open_base(campaign.base, campaign.text), Job(store, campaign, "run-1", "x", 1)
    prompts = base.prompts(campaign.text)
    checkpoints = job.checkpoints("policy", campaign.checkpoints.policy_updates)
    try:
        with quarantined(job, "policy", checkpoints):
            train_policy(
                campaign.policy,
                prompts,
                base.model,
                lambda queries, responses: (responses == 13).sum(-1).float(),
                query_tokens(prompts, "train")[:200],
                1,
                PolicyHooks(
                    look=job.look(), log=lambda metrics: print(time.time(), flush=True), checkpoints=checkpoints
                ),
            )
    except Stopped:
        sys.exit(3)


if __name__ == "__main__":
    main(sys.argv[1])
