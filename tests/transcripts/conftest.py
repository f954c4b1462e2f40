"""``--rewrite``: write the transcripts anew; the review of the change is the diff."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write tests/transcripts/*.txt anew")
