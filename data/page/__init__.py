"""The data of the labeling page: accounts, answers, and the live wall."""
