"""That the paper's size fits: one reward step and one PPO update of GPT-2 774M on a processor, random weights.

`python -m bench.speed.large reward` and `python -m bench.speed.large ppo`, each in a process of its own; prints seconds
and the most memory it held.
"""

from bench.arguments import parser
from bench.meter import cost_of, report
from bench.speed.andon_side import K, frozen, prompts_of, rules
from bench.speed.shapes import token_rows
from data.campaign.settings import Policy, Reward
from models.lm.memory import keep_freed_memory
from models.ppo.train import train_policy
from models.reward.model import new_reward_model, train_reward_model
from models.reward.preferences import best_of

QUESTIONS = 8


def main(work: str) -> None:
    base, queries = frozen("774m"), token_rows(QUESTIONS, 64)
    if work == "reward":
        responses = token_rows(QUESTIONS * K, 24, seed=1)
        rows = [best_of(queries[i], responses[i * K : (i + 1) * K], 0) for i in range(QUESTIONS)]
        model = new_reward_model(base, 0)
        settings = Reward(batch=QUESTIONS, lr=1e-5, held_out_share=0.1, normalisation_samples=64, micro_batch=2)
        report(cost_of(QUESTIONS, lambda: train_reward_model(model, rows, settings, 0)))
    else:
        settings_of_policy = Policy(
            episodes=K, batch=K, responses_per_query=K, epochs=1, lr=1e-5, kl_coefficient=0.1, micro_batch=1
        )
        score = new_reward_model(base, 0).requires_grad_(False)
        report(
            cost_of(
                K,
                lambda: train_policy(settings_of_policy, prompts_of(rules(64, 24)), base, score, queries, 0),
            )
        )


if __name__ == "__main__":
    arguments = parser("bench.speed.large", __doc__)
    arguments.add_argument("work", choices=("reward", "ppo"))
    given = arguments.parse_args()
    keep_freed_memory()
    main(given.work)
