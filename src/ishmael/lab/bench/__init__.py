"""Benchmarks: figures from a command that anyone can run, beside those of others from the same run."""
