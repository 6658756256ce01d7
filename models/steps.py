"""The trainings of a run as steps: read from the store, train, publish. They run here, or are started by accelerate.

Every process of a training runs the same step, and the first process publishes it. A published step is not repeated,
and a killed one continues from its last checkpoint.
"""

import json
import logging
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from data.campaign.queries import edition
from data.canonical import Document
from data.console import LOGGER, say
from data.errors import MEMORY_RAN_OUT, Refused, Stopped, out_of_memory
from data.labels.label_sets import batches_of, label_agreement, read_label_set
from data.runs.step_facts import PolicyFacts, PolicyUpdate, RewardFacts, SupervisedFacts
from data.store.manifest import publish
from models.card import model_card, reward_card, write_card
from models.lm.base import Base, best_device, fingerprint, open_base, save_language_model
from models.lm.machine import circumstances
from models.lm.memory import must_recompute
from models.lm.precision import Precision, computing_in
from models.lm.query_list import query_tokens
from models.monitoring.canaries import canaries, chosen, remembered
from models.monitoring.live import LiveWall
from models.monitoring.run_checks import check_reward_model, open_monitor
from models.ppo.train import PolicyHooks, train_policy
from models.reward.dataset import base_responses, split_comparisons
from models.reward.ensemble import Ensemble, load_ensemble
from models.reward.model import measure_held_out, new_reward_model, train_reward_model
from models.reward.preferences import widest
from models.supervised.fine_tune import fine_tune, validation_loss
from models.supervised.fine_tune import widest as widest_example
from models.supervised.references import references
from models.training import termination
from models.training.hooks import Hooks
from models.training.job import Job, quarantined
from models.training.processes import processes


def start_of(job: Job) -> Base:
    """Return the model that reward model and policy start from: the base, or the base fine-tuned on references."""
    if job.campaign.supervised is None:
        return open_base(job.campaign.base, job.campaign.text)
    tuned = job.published("supervised")
    assert tuned is not None
    return open_base(str(tuned.folder()), job.campaign.text)


def supervised_step(job: Job) -> None:
    """Fine-tune the base on the reference responses of the campaign's queries, if the campaign has [supervised]."""
    settings, text = job.campaign.supervised, job.campaign.text
    if settings is None:
        return
    checkpoints = job.checkpoints("supervised", job.campaign.checkpoints.supervised_steps)
    if job.is_done("supervised", checkpoints):
        return
    began, base, texts = datetime.now(UTC), open_base(job.campaign.base, text), edition(text, "train")
    train, validation, corrected = references(job, base)
    say(
        f"supervised: fine-tuning on {len(train):,} references, {len(validation):,} held out; "
        f"{corrected:,} of them are corrections by labelers"
    )
    look = job.look()
    recompute = must_recompute(base.model, settings.micro_batch, *widest_example(train))
    with quarantined(job, "supervised", checkpoints):
        before = validation_loss(base.model, validation, look)
        model, history = fine_tune(base.model, train, settings, job.seed, Hooks(look, checkpoints, recompute=recompute))
        after = validation_loss(model, validation, look)
    say(f"supervised: {after:.3f} nats a reference token held out, the base {before:.3f}")
    with tempfile.TemporaryDirectory() as scratch:
        save_language_model(model, base.tokenizer, Path(scratch))
        facts: SupervisedFacts = {
            "examples": len(train),
            "corrections": corrected,
            "validation_loss": after,
            "validation_loss_of_base": before,
        }
        inputs = {"base": base.fingerprint, "label_set": job.label_set, "seed": job.seed, "queries": texts}
        _publish(job, "supervised", Path(scratch), {"history.json": history}, inputs, facts, began, recompute)
    checkpoints.clear()


def reward_step(job: Job) -> None:
    """Train the run's reward model on its label set, and publish it."""
    began, text, settings = datetime.now(UTC), job.campaign.text, job.campaign.reward
    saved = [
        job.checkpoints(f"reward/member-{number}", job.campaign.checkpoints.reward_steps)
        for number in range(settings.models)
    ]
    if job.is_done("reward", *saved):
        return say("reward model: published")
    base, store, texts = start_of(job), job.plain_store, edition(text, "train")
    prompts = base.prompts(text)
    document, labels = read_label_set(store, job.campaign.name, job.label_set)
    sources = batches_of(store, job.campaign.name, document)
    split = split_comparisons(base, sources, labels, prompts, settings.held_out_share)
    if not split.train or not split.held_out:
        share = f"a held_out_share of {settings.held_out_share}"
        raise Refused(f"{len(labels)} labels are too few for {share}, so nothing can measure the model. Label more.")
    say(f"reward model: training on {len(split.train):,} labels, {len(split.held_out):,} held out")
    count = settings.normalisation_samples
    scored = settings.normalise_on == "scored"
    queries, look = query_tokens(prompts, "train"), job.look()
    recompute = must_recompute(base.model, settings.micro_batch, widest(split.train), 0)
    members, histories, normalised = [], [], []
    with quarantined(job, "reward", *saved):
        normal = base_responses(base, queries, prompts, 2 * count, job.seed, scored, look)
        for number, checkpoints in enumerate(saved):
            model = new_reward_model(base.model, job.seed + number)
            before = model.normalise(normal[:count], look=look)
            hooks = Hooks(look, checkpoints, recompute=recompute)
            histories.append(train_reward_model(model, split.train, settings, job.seed + number, hooks))
            normalised.append((before, model.normalise(normal[:count], look=look)))
            members.append(model)
        ensemble = Ensemble(members)
        if not scored:  # PPO scores truncated, valid responses, even if scores are normalised on others
            normal[count:] = base_responses(base, queries, prompts, count, job.seed + 1, look=look)
        fresh = ensemble.scores(normal[count:], look)
        held_out = measure_held_out(partial(ensemble.scores, look=look), split.held_out)
    say(f"reward model: held-out accuracy {held_out.accuracy} (chance {held_out.chance:.3f})")
    gold_canaries = canaries(base, sources, prompts)
    gold = check_reward_model(job, ensemble, gold_canaries, held_out, histories[0], label_agreement(labels, sources))
    pairs = remembered(ensemble, [*gold_canaries, *chosen(split.held_out[:200])], best_device())
    facts: RewardFacts = {
        "train_labels": len(split.train),
        "held_out_labels": len(split.held_out),
        "accuracy": held_out.accuracy.document(),
        "chance": held_out.chance,
        "gold_accuracy": gold and gold.document(),
        "loss": held_out.loss,
        "calibration": held_out.calibration and [held_out.calibration[0], [*map(list, held_out.calibration[1])]],
        "models": settings.models,
        "normalised_before": normalised[0][0].facts(),
        "normalised_after": [after.facts() for _, after in normalised],
        "base_score_mean": float(fresh.mean(0).mean()),
        "base_score_std": float(fresh.mean(0).std()),
        "base_score_queries": len({tuple(row.query) for row in normal[count:]}),
        "base_score_spread": float(fresh.std(0).mean()) if settings.models > 1 else None,
    }
    inputs = {"label_set": job.label_set, "base": base.fingerprint, "seed": job.seed, "queries": texts}
    with tempfile.TemporaryDirectory() as scratch:
        missing = ensemble.save(Path(scratch), prompts.padding)
        base.tokenizer.save_pretrained(scratch)
        write_card(Path(scratch), reward_card(job.campaign, job.run, missing, prompts.padding), prompts)
        documents = {"history.json": histories[0], "canaries.json": pairs}
        _publish(job, "reward", Path(scratch), documents, inputs, facts, began, recompute)
    for checkpoints in saved:
        checkpoints.clear()


def policy_step(job: Job) -> None:
    """Train the run's policy against its published reward model, and publish it."""
    checkpoints = job.checkpoints("policy", job.campaign.checkpoints.policy_updates)
    if job.is_done("policy", checkpoints):
        return say("policy: published")
    began, text, settings = datetime.now(UTC), job.campaign.text, job.campaign.policy
    base, scorer, texts = start_of(job), job.published("reward"), edition(text, "train")
    assert scorer is not None
    score = load_ensemble(scorer.folder())
    start = "the base" if job.campaign.supervised is None else "the base fine-tuned on references"
    say(f"policy: PPO from {start}, {settings.episodes:,} episodes")
    prompts = base.prompts(text)
    queries = query_tokens(prompts, "train")
    separate, predicted = settings.value_model == "separate", settings.responses_per_query * text.response_tokens
    longest = len(prompts.surround([])) + text.query_tokens + predicted
    recompute = must_recompute(base.model, settings.micro_batch, longest, predicted, copies=1 + separate)
    metrics: list[PolicyUpdate] = []
    with quarantined(job, "policy", checkpoints), open_monitor(job, base, score, scorer, queries, metrics) as inspect:
        hooks = PolicyHooks(
            look=job.look(),
            last_look=job.look(),  # a new watch looks at once, because the last update may have pulled the cord
            log=metrics.append,
            show=LiveWall(job.plain_store, job.campaign, job.run, base, score, queries),
            inspect=inspect,
            checkpoints=checkpoints,
            recompute=recompute,
        )
        policy = train_policy(
            settings, prompts, base.model, score, queries, job.seed, hooks,
            value_from=score.members[0] if separate else None,
        )  # fmt: skip
    assert fingerprint(base.model) == base.fingerprint, "the reference changed during the training"
    last = metrics[-1]
    say(f"policy: score {last['score']:+.2f}, KL {last['kl']:.1f} nats a sequence, {last['valid']:.0%} valid")
    inputs = {"reward": scorer.manifest["files"], "base": base.fingerprint, "seed": job.seed, "queries": texts}
    with tempfile.TemporaryDirectory() as scratch:
        save_language_model(policy.language_model, base.tokenizer, Path(scratch), prompts)
        write_card(Path(scratch), model_card(job.campaign, job.run, last["kl"]), prompts)
        facts = PolicyFacts(last=last)
        _publish(job, "policy", Path(scratch), {"history.json": metrics}, inputs, facts, began, recompute)
    checkpoints.clear()


def _publish(
    job: Job,
    step: str,
    folder: Path,
    documents: Document,
    inputs: Document,
    facts: SupervisedFacts | RewardFacts | PolicyFacts,
    began: datetime,
    recompute: bool,
) -> None:
    """Publish all files of a folder and some JSON documents, from the first process."""
    if processes().is_main:
        files: dict[str, Path | bytes] = {
            path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
        }
        files |= {name: json.dumps(document).encode() for name, document in documents.items()}
        recorded = {**facts, **circumstances(recompute)}
        publish(job.fenced_store, job.prefix(step), step, files, inputs=inputs, facts=recorded, began=began)
    processes().wait()


def _in_its_precision(step: Callable[[Job], None]) -> Callable[[Job], None]:
    """Return the step as it runs in the precision of its job."""

    def run(job: Job) -> None:
        with computing_in(None if job.precision is None else Precision(job.precision)):
            step(job)

    return run


STEPS = {
    name: _in_its_precision(step)
    for name, step in (("supervised", supervised_step), ("reward", reward_step), ("policy", policy_step))
}


def main(step: str, job: Path) -> None:
    """Run one step of the job in a file, as accelerate starts it; exit with 3 if stopped, with 1 if refused."""
    logging.basicConfig(format="%(asctime)s  %(message)s", datefmt="%H:%M:%S")
    LOGGER.setLevel(
        logging.INFO if processes().is_main else logging.WARNING
    )  # each line once, for any number of processes
    termination.listen()
    try:
        STEPS[step](Job.read(job))
    except Stopped as stopped:
        if processes().is_main:
            sys.stderr.write(f"andon: {stopped}\n")
        sys.exit(3)
    except Refused as refusal:
        sys.exit(f"andon: {refusal}")
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        sys.exit(f"andon: {MEMORY_RAN_OUT}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
