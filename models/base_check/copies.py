"""Comparisons of checkpoints: the base opened again, and a copy that was saved, as a published policy is."""

import tempfile
from pathlib import Path

import torch

from data.base_check.facts import CheckCode
from models.base_check.logprobs import Drawn, largest
from models.base_check.material import Material
from models.base_check.stages import Findings
from models.lm.base import open_base, save_language_model
from models.lm.plain import plain_logprobs


@torch.no_grad()
def compare_copies(of: Material, drawn: Drawn, findings: Findings) -> None:
    """Compare the base with itself opened again, and with its saved copy."""
    base, temperature = of.base, of.prompts.fmt.temperature
    with findings.stage("opening again", CheckCode.CHECKPOINT):
        # What a checkpoint lacks is drawn at random, so it differs here.
        findings.add(CheckCode.CHECKPOINT, float(open_base(base.name).fingerprint != base.fingerprint), 0)
    with findings.stage("copy", CheckCode.COPY, CheckCode.COPIED_LOGITS), tempfile.TemporaryDirectory() as folder:
        save_language_model(base.model, base.tokenizer, Path(folder))
        copy = open_base(folder)
        same = (copy.fingerprint, copy.vocabulary) == (base.fingerprint, base.vocabulary)
        findings.add(CheckCode.COPY, float(not same), 0)
        some = drawn.samples.tokens[:, :1]
        logprobs = plain_logprobs(copy.model, drawn.contexts, some, temperature)
        findings.add(CheckCode.COPIED_LOGITS, largest(logprobs, drawn.plain.logprobs[:, :1]))
