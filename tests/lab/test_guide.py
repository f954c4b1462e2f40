"""The guide tells the truth: every line of the life of a cluster is typed on real nodes, and answers as it says."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ishmael.lab.node import Node
from tests.lab.conftest import Lab, _fresh, _take_down

pytestmark = pytest.mark.lab
GUIDE = Path(__file__).resolve().parents[2] / "docs/guide/life.md"
SHOWN_KEY = "ssh-ed25519 AAAA... ishmael-cluster"
_LOOKS = ("ishmael status", "ishmael events")
_SETTLE_S = 60.0
_LIMIT_S = 240.0


@dataclass(frozen=True)
class Line:
    """What is typed where, and what is looked for in the answer."""

    where: str
    typed: str
    wanted: tuple[str, ...]


def read_guide(text: str) -> list[Line]:
    """All lines with a prompt, from the console blocks, in their order."""
    lines: list[Line] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for row in block.splitlines():
            prompt = re.match(r"(you|node[12])[#$] (.*)", row)
            if prompt:
                lines.append(Line(prompt[1], prompt[2], ()))
            else:
                last = lines[-1]
                lines[-1] = Line(last.where, last.typed, (*last.wanted, row))
    return lines


@pytest.fixture
def guided() -> Iterator[Lab]:
    """A lab by a name of its own; the guide itself brings it up."""
    lab = _fresh("testguide")
    yield lab
    _take_down(lab)


def _type(lab: Lab, line: Line, key: str) -> tuple[int, str]:
    """Type a line; answers the exit code and all that was said."""
    typed = line.typed.replace(SHOWN_KEY, key)
    if line.where == "you":
        done = lab.run(*typed.removeprefix("ishmael lab ").split())
        return done.returncode, done.stdout + done.stderr
    node = Node(lab.plan, lab.plan.node(line.where))
    said = node.exec(["sh", "-c", typed], timeout_s=_LIMIT_S)
    return said.returncode, said.stdout + said.stderr


def test_the_life_of_a_cluster_goes_as_the_guide_says(guided: Lab) -> None:
    """Each line ends with 0 and says what the guide says; what only looks is repeated while the nodes settle."""
    lines, key = read_guide(GUIDE.read_text()), ""
    assert len(lines) > 30
    for line in lines:
        deadline_s = time.monotonic() + (_SETTLE_S if line.typed in _LOOKS else 0)
        while True:
            code, said = _type(guided, line, key)
            missing = [wanted for wanted in line.wanted if wanted not in said]
            if (code == 0 and not missing) or time.monotonic() > deadline_s:
                break
            time.sleep(0.5)
        assert code == 0, (line, said)
        assert missing == [], (line, said)
        if "--show-key" in line.typed:
            key = next(row for row in said.splitlines() if row.startswith("ssh-ed25519"))
