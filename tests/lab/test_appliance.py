"""Services on real nodes: what is wrong is told, and changes nothing."""

from __future__ import annotations

import pytest

from tests.lab.conftest import Lab

pytestmark = pytest.mark.lab


def test_bad_settings_change_nothing_on_the_node(complete: Lab) -> None:
    """Findings come all at once, the service's own checker has its say, and the files are those of before."""
    master = complete.cluster.master()
    assert master is not None
    before = complete.sh(
        master.plan.name, "find /etc -type f -newermt @0 | sort | xargs -d '\\n' sha256sum | sha256sum"
    )
    words = [
        "ishmael",
        "services",
        "set",
        "dns",
        "enabled=true",
        "dhcp=true",
        "range_from=10.77.0.5",
        "range_to=x",
        "--yes",
    ]
    done = master.exec([*words, "upstream=nobody", "--json"], timeout_s=60)
    assert done.returncode == 3
    for words in (["ntp", "upstream=-x"], ["mail", "enabled=true"], ["fax", "enabled=true", "number=1"]):
        assert master.exec(["ishmael", "services", "set", *words, "--yes", "--json"], timeout_s=60).returncode == 3
    after = complete.sh(master.plan.name, "find /etc -type f -newermt @0 | sort | xargs -d '\\n' sha256sum | sha256sum")
    assert after == before
