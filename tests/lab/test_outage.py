"""What people see of an outage: a service that does not stay up, and the first call that is answered again."""

from __future__ import annotations

import json

import pytest

from ishmael.lab.tools import wait_until
from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab
_PROFILE = "/etc/ishmael/profile.toml"
_POLICY = 'when_failing = "hand-over"'
_KILL = "systemctl kill --signal=SIGKILL asterisk.service"
_RUNS = (
    "systemctl is-active --quiet asterisk.service && asterisk -rx 'core waitfullybooted' >/dev/null 2>&1 && echo yes"
)


def _master(lab: Lab) -> str:
    roles = {node.plan.name: (lab.cluster.status(node) or {}).get("role") for node in lab.cluster.nodes}
    return next((name for name, role in roles.items() if role == "master"), "")


def _crash_three_times(lab: Lab, node: str) -> None:
    for _ in range(3):
        assert wait_until(lambda: lab.run("exec", node, "--", "sh", "-c", _RUNS).stdout.strip() == "yes", 60, 0.3)
        lab.sh(node, f"pid=$(systemctl show --property MainPID --value asterisk.service); {_KILL}; "
                     'while [ "$(systemctl show --property MainPID --value asterisk.service)" = "$pid" ]; do sleep 0.1; done')  # fmt: skip


def test_the_profile_decides_what_a_service_that_keeps_dying_is_worth(complete: Lab) -> None:
    """By default nothing moves and it is told; with the other policy the slave takes the role, in order."""
    first = _master(complete)
    told = "ishmael events --limit 40 --json | grep -c service-failing"

    def is_told() -> bool:
        return complete.run("exec", first, "--", "sh", "-c", told).stdout.strip() not in ("", "0")

    # A busy machine may need so long for three that the first no longer counts.
    for _ in range(3):
        _crash_three_times(complete, first)
        if wait_until(is_told, 5, 0.5):
            break
    assert is_told()
    assert _master(complete) == first
    complete.sh(first, f"sed -i '/^name = \"asterisk.service\"/a {_POLICY}' {_PROFILE}")
    try:
        # Refused while the slave compares its files, as it does after a change of the profile; asked again after half a minute.
        if not wait_until(lambda: _master(complete) not in ("", first), 45, 0.5):
            _crash_three_times(complete, first)
        assert wait_until(lambda: _master(complete) not in ("", first), 60, 0.5)
    finally:
        complete.sh(first, f"sed -i '/{_POLICY}/d' {_PROFILE}")


def test_the_story_ends_with_the_first_answered_call(complete: Lab) -> None:
    """After a hand-over a telephone calls another; the story of that move names the call, with its time."""
    assert complete.json("fault", "planned")
    second = _master(complete)

    def told() -> bool:
        said = complete.run("exec", second, "--", "ishmael", "events", "--story", "--json").stdout
        lines = json.loads(said)["stories"][-1]["lines"]
        return any("first call since then is answered" in line["text"] for line in lines)

    # The role comes before the services are open.
    assert wait_until(lambda: complete.run("call").returncode == 0 and wait_until(told, 5, 0.5), 60, 1)
