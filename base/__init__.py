"""The embedded base: a small GPT-2 that Andon carries, its queries, and the scripts that made both."""
