"""HTML reports of runs, campaigns, evaluations and label quality."""
