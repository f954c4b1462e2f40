"""The table of rules as a whole."""

import json
from pathlib import Path

from ishmael.core.rules import RULES, rules_of
from ishmael.sim import table
from ishmael.words.roles import Role

GOLDEN = Path(__file__).with_name("rules.json")


def test_ids_are_unique() -> None:
    """One number, one rule: events and logs name rules by them."""
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))


def test_every_rule_says_why() -> None:
    """Each is a sentence for an admin, and each is tried somewhere."""
    for rule in RULES:
        assert rule.why.endswith(".")
        assert rule.roles
        assert len(rule.why) > 10


def test_rules_keep_their_order_in_every_role() -> None:
    """What a role tries is the table's order, so that letting go comes before anything else."""
    for role in Role:
        assert list(rules_of(role)) == [rule for rule in RULES if role in rule.roles]


def test_table_is_as_reviewed() -> None:
    """`ishmael dev rules dump > tests/unit/core/rules.json` after a change; the diff of that file is its review."""
    assert json.loads(GOLDEN.read_text()) == json.loads(table.as_json())


def test_table_prints_itself() -> None:
    """The list names every rule once, the diagram every role."""
    lines = table.as_list().splitlines()
    assert [line.split()[0] for line in lines] == [rule.id for rule in RULES]
    diagram = table.as_mermaid()
    assert diagram.startswith("stateDiagram-v2")
    assert all(role in diagram for role in Role)
