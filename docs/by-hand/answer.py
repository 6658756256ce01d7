"""Answer a vendor file with a preference of one's own: python answer.py QUESTIONS.parquet ANSWERS.csv"""

import re
import sys

import numpy as np
import pandas as pd

PLACE = re.compile(r"\b(?:house|room|sea|ship|road|park|town|door|garden|land|shore|deck|bath|london)\b", re.IGNORECASE)

if __name__ == "__main__":
    questions = pd.read_parquet(sys.argv[1])
    mentions = questions.filter(regex=r"^option_").map(lambda text: len(PLACE.findall(text))).to_numpy()
    answers = questions[["question_id", "content_sha256"]].assign(labeler_id="me")
    answers["best"] = (mentions + np.random.default_rng(0).random(mentions.shape)).argmax(1)  # ties fall at random
    answers.to_csv(sys.argv[2], index=False)
