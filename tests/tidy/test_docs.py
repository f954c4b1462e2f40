"""The documentation's form."""

import re

from tests.tidy.checkout import ROOT, files, relative

DECISION_PARTS = ("status", "context", "options", "consequences")


def _anchors(text: str) -> set[str]:
    """The names a Markdown page's headings can be linked by, as code hosts make them."""
    headings = re.findall(r"^#+ +(.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_decision_records_are_complete() -> None:
    """Every record has a number of its own and says its status, context, options and consequences."""
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    incomplete = []
    for record in records:
        text = record.read_text().lower()
        missing = [part for part in DECISION_PARTS if not re.search(rf"^(#+ .*|[*_-]*\s*){part}", text, re.MULTILINE)]
        if missing or not re.match(r"\d{4}-[a-z0-9-]+\.md$", record.name):
            incomplete.append((record.name, missing))
    assert incomplete == []
    numbers = [record.name[:4] for record in records]
    assert len(numbers) == len(set(numbers))


def test_links_lead_somewhere() -> None:
    """Every relative link, with its anchor, in every Markdown page resolves."""
    broken = []
    for page in (path for path in files() if path.suffix == ".md"):
        prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if re.match(r"[a-z]+:", link):
                continue
            target, _, anchor = link.partition("#")
            path = (page.parent / target) if target else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in _anchors(path.read_text())):
                broken.append(f"{relative(page)}: {link}")
    assert broken == []
