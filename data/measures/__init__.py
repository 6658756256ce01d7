"""Measures of an evaluation as pure functions, one subject a file. docs/evaluation.md defines them."""
