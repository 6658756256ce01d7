"""Count the responses to held-out queries that mention a place, before and after: python count_places.py REPORT.html"""

import sys
from pathlib import Path

import pandas as pd
from answer import PLACE

run = Path(sys.argv[1]).parents[1]
answers = pd.read_parquet(next(run.glob("evaluations/*/*/responses.parquet")))
for system, mine in answers.groupby("system", sort=False):
    print(f"{system:10} {mine.response.str.contains(PLACE).mean():.1%} of {len(mine)} responses mention a place")
