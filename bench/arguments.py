"""The command line of a benchmark: its arguments, and its module's docstring as help."""

import argparse


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser for `python -m MODULE`; `--help` prints the description as it is written."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
