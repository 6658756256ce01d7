"""Count the responses to held-out queries that mention a place, before and after: python count_places.py REPORT.html"""

import sys
from pathlib import Path

import pandas as pd
from answer import PLACE

run = Path(sys.argv[1]).parents[1]
pairs = pd.read_parquet(next(run.glob("evaluations/*/*/pairs.parquet")))
for system in ("zero_shot", "policy"):
    share = pairs[system].str.contains(PLACE).mean()
    print(f"{system:10} {share:.1%} of {len(pairs)} responses mention a place")
