"""Words that must not appear."""

import re

from tests.tidy.checkout import product_files, text_files

# Each is written in pieces, so that this file does not contain what it forbids.
UNFINISHED = (
    "TO" + "DO",
    "FIX" + "ME",
    "XX" + "X:",
    "NotImplemented" + "Error",
    "pytest.mark." + "skip",
    "pytest." + "skip(",
    "x" + "fail",
)
# Neither a developer's directories nor the hosts a machine happens to fetch from belong into the sources.
WORKPLACE = (
    "/" + "work/",
    "/" + "home/",
    "deb." + "debian.org",
    "py" + "pi.org",
    "files.python" + "hosted",
    "/opt/" + "wheels",
)
LAB = (
    "ishmael" + r"\.lab\b",
    "lab" + "-echo",
    "ishmael" + "-lab",
    r"\b10\.77\.0\.",
    r"\b10\.78\.0\.",
    "phone" + r"0\b",
    "cable" + r"0\b",
    r"\blab\b",
)


def _hits(sources: list[tuple[str, str]], pattern: str) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in sources
        for number, line in enumerate(text.splitlines(), 1)
        if found.search(line)
    ]


def test_nothing_is_left_unfinished() -> None:
    """No reminder, no stub, no test that is skipped."""
    assert _hits(list(text_files()), "|".join(re.escape(word) for word in UNFINISHED)) == []


def test_no_workplace_is_named() -> None:
    """The sources name no directory of a developer's machine and no mirror."""
    assert _hits(list(text_files()), "|".join(re.escape(word) for word in WORKPLACE)) == []


def test_product_does_not_know_the_lab() -> None:
    """What is packaged runs the same under any other laboratory, so it names nothing of ours."""
    assert _hits(list(product_files()), "|".join(LAB)) == []
