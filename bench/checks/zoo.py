"""Which types of models are computed rightly: `python -m bench.checks.zoo [TYPE ...]`.

For each type of causal language model of the installed transformers, a tiny random model is saved, opened as a base,
sampled, trained and scored in fp32. The results are compared with the model's own forward pass, one row at a time. It
takes about five minutes on one core. Without types, it writes the tables of docs/bases.md.
"""

import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import transformers

from bench.arguments import parser
from data.escape import first_line
from tests.support.zoo import TYPES, UNBUILT, Verdict, judge, tiny_tokenizer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bases.md"
MARK = "<!-- python -m bench.checks.zoo writes the rest of this page -->\n"


def results(kinds: Iterable[str]) -> dict[str, Verdict | str]:
    """Return the verdict of each type, or the error that no refusal explains; print each at once."""
    tokenizer, found = tiny_tokenizer(), dict[str, Verdict | str]()
    for kind in kinds:
        began = time.perf_counter()
        with TemporaryDirectory() as folder:
            try:
                found[kind] = judge(kind, tokenizer, Path(folder))
            except Exception as error:
                found[kind] = f"{type(error).__name__}: {first_line(error)}"
        print(f"{kind:26}{time.perf_counter() - began:6.1f} s  {' | '.join(_cells(found[kind]))}", flush=True)
    return found


def _cells(result: Verdict | str) -> list[str]:
    if isinstance(result, str):
        return ["traceback", result]
    if result.refusal:
        return ["refused", result.reason]
    return ["right" if result.right else "wrong", f"{result.error:.0e}", result.where, result.rows, result.attention]


def tables(found: dict[str, Verdict | str]) -> str:
    """Return the tables of all types as Markdown."""
    cells = {kind: _cells(result) for kind, result in found.items()}
    counts = Counter(each[0] for each in cells.values())
    parts = [
        f"transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}: "
        f"of {len(TYPES)} types, {counts['right']} are right, {counts['refused']} are refused, "
        f"{counts['wrong']} are wrong, {counts['traceback']} end in a traceback. {len(UNBUILT)} cannot be built here.",
    ]
    for verdict, title, header in (
        ("wrong", "Wrong", "type | error | of | rows | attention"),
        ("traceback", "Traceback", "type | error"),
        ("right", "Right", "type | error | of | rows | attention"),
        ("refused", "Refused", "type | reason"),
    ):
        rows = [f"| `{kind}` | {' | '.join(rest)} |" for kind, (mine, *rest) in cells.items() if mine == verdict]
        if rows:
            parts += [f"## {title}", "\n".join([f"| {header} |", "|---" * (header.count("|") + 1) + "|", *rows])]
    unbuilt = [f"| `{kind}` | {reason} |" for kind, reason in UNBUILT.items()]
    parts += ["## Not built", "\n".join(["| type | reason |", "|---|---|", *unbuilt])]
    return "\n\n".join(parts) + "\n"


def main() -> int:
    arguments = parser("bench.checks.zoo", __doc__)
    arguments.add_argument("type", nargs="*", help="types of transformers, such as llama; all types if none is given")
    kinds = arguments.parse_args().type
    torch.set_num_threads(1)
    found = results(kinds or [kind for kind in TYPES if kind not in UNBUILT])
    if not kinds:
        page = PAGE.read_text("utf-8").partition(MARK)[0]
        PAGE.write_text(page + MARK + "\n" + tables(found), "utf-8")
    return int(any(isinstance(each, str) or not (each.refusal or each.right) for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
