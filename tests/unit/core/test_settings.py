"""The settings: written and read back, and every finding found."""

import tomllib
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.strategies import json_values
from ishmael.words.errors import RequestRefused
from ishmael.words.settings import (
    NodeSettings,
    Settings,
    Times,
    check_settings,
    settings_from_mapping,
    settings_from_toml,
)

ONE = NodeSettings(1, "alpha", "192.168.7.11", "eno1", "52:54:00:00:00:11", "172.31.9.1", "eno2", "52:54:00:00:01:11")
TWO = NodeSettings(2, "beta", "192.168.7.12", "eno1", "52:54:00:00:00:12", "172.31.9.2", "eno2", "52:54:00:00:01:12")
GOOD = Settings("192.168.7.10", 24, 30, ("192.168.7.1", "192.168.7.2"), (ONE, TWO))


def _node(**changes: Any) -> Settings:
    return replace(GOOD, nodes=(replace(ONE, **changes), TWO))


@given(
    st.builds(
        replace,
        st.just(GOOD),
        email=st.sampled_from(["", "admin@example.org", "a@b,c@d", "büro@example.org"]),
        cluster_name=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?", fullmatch=True),
        profile=st.text(max_size=20),
        revision=st.integers(1, 10**9),
        policy=st.sampled_from(["dial-tone-first", "data-first"]),
        nodes=st.sampled_from([(ONE,), (ONE, TWO)]),
        times=st.builds(Times, dial_tone_ms=st.integers(1, 10**7), boot_ms=st.integers(5001, 10**6)),
    )
)
def test_settings_are_read_as_they_were_written(settings: Settings) -> None:
    """TOML out and in gives the same settings, whatever the texts contain."""
    assert settings_from_toml(settings.to_toml()) == settings


WRONG = {
    "not-an-address": replace(GOOD, cluster_ip="192.168.7"),
    "outside-telephone-network": replace(GOOD, cluster_ip="192.168.8.10"),
    "nodes-own-address": replace(GOOD, cluster_ip="192.168.7.11"),
    "no-telephone-network": replace(GOOD, phone_prefix=31),
    "no-internal-network": replace(GOOD, internal_prefix=31),
    "networks-overlap": replace(
        GOOD, nodes=(replace(ONE, internal_ip="192.168.7.21"), replace(TWO, internal_ip="192.168.7.22"))
    ),
    "bad-cluster-name": replace(GOOD, cluster_name="Praxis {Nord}"),
    "bad-email": replace(GOOD, email="not an address"),
    "internal-network-public": replace(
        GOOD, nodes=(replace(ONE, internal_ip="8.8.8.9"), replace(TWO, internal_ip="8.8.8.10"))
    ),
    "bad-host-name": _node(name="al_pha"),
    "outside-network": _node(internal_ip="172.31.9.9", id=9),
    "bad-mac": _node(phone_mac="52-54-00-00-00-11"),
    "same-nic-twice": _node(internal_nic="eno1"),
    "too-many-nodes": replace(GOOD, nodes=(ONE, TWO, replace(TWO, id=3))),
    "same-host-name": _node(name="BETA"),
    "same-id": _node(id=2),
    "same-address": _node(phone_ip="192.168.7.12"),
    "same-mac": _node(phone_mac="52:54:00:00:01:12"),
    "no-reference": replace(GOOD, references=()),
    "reference-outside": replace(GOOD, references=("192.168.9.1",)),
    "reference-own": replace(GOOD, references=("192.168.7.12",)),
    "unknown-policy": replace(GOOD, policy="hope-first"),
    "times-unsafe": replace(GOOD, times=Times(take_min_ms=200)),
}


def test_good_settings_have_no_finding() -> None:
    """Neither with two nodes nor with one."""
    assert check_settings(GOOD) == []
    assert check_settings(replace(GOOD, nodes=(ONE,))) == []


@pytest.mark.parametrize("code", sorted(WRONG))
def test_each_finding_is_found(code: str) -> None:
    """Each mistake is named by its code, with a sentence, and refuses the file."""
    findings = {finding.code: finding for finding in check_settings(WRONG[code])}
    assert code in findings
    assert findings[code].message.endswith(".")
    with pytest.raises(RequestRefused) as refused:
        settings_from_toml(WRONG[code].to_toml())
    assert code in {finding.code for finding in refused.value.findings}


@pytest.mark.parametrize("name", ["", " ", "x ", "-x", "x\n}\ntotem {", "x\n", "Praxis {Nord}", "Süd", "a#b", "x" * 65])
def test_a_cluster_name_that_corosync_could_misread_is_refused(name: str) -> None:
    """The name goes into a file whose syntax has no quotes: nothing in it may end the line or the block."""
    (found,) = check_settings(replace(GOOD, cluster_name=name))
    assert (found.field, found.code, len(found.message) < 200) == ("cluster_name", "bad-cluster-name", True)


@pytest.mark.parametrize("name", ["x", "ishmael", "Praxis Nord 2", "a.b_c-d", "x" * 64])
def test_a_plain_cluster_name_is_taken(name: str) -> None:
    """Words as people write them on a label."""
    assert check_settings(replace(GOOD, cluster_name=name)) == []


@pytest.mark.parametrize(
    "email",
    [
        "nobody",
        "@",
        "a@",
        "@b",
        "a b@c",
        "a@b\nBcc: x@y",
        "a@b\tc",
        "a@b\x00",
        "a@b\udc80",
        "a@b,",
        "x" * 250 + "@b.de",
    ],
)
def test_an_address_that_would_break_a_mail_is_refused(email: str) -> None:
    """Else the first failover would be the first to know."""
    (found,) = check_settings(replace(GOOD, email=email))
    assert (found.field, found.code) == ("email", "bad-email")


def test_no_address_is_allowed() -> None:
    """Not everybody wants mail."""
    assert check_settings(replace(GOOD, email="")) == []


@pytest.mark.parametrize("name", [field.name for field in fields(Times)])
def test_no_time_may_be_zero(name: str) -> None:
    """Every time is positive: a zero would switch a defence off."""
    times = replace(Times(), **{name: 0})
    assert "times-unsafe" in {finding.code for finding in check_settings(replace(GOOD, times=times))}


@given(st.sampled_from(["phone_prefix", "references", "nodes", "times", "email", "cluster_ip"]), json_values)
def test_any_value_is_refused_or_taken(key: str, value: object) -> None:
    """A value of any other type is refused like every mistake, never with another error."""
    raw = tomllib.loads(GOOD.to_toml()) | {key: value}
    try:
        settings_from_mapping(raw)
    except RequestRefused as refused:
        assert refused.code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("cluster_ip =", "settings-not-toml"),
        ('schema = 2\ncluster_ip = "192.168.7.10"', "settings-schema"),
        (GOOD.to_toml().replace("phone_nic", "phone_card", 1), "settings-keys"),
        ("nonsense = 1\n" + GOOD.to_toml(), "settings-keys"),
    ],
)
def test_unreadable_file_is_refused(text: str, code: str) -> None:
    """A file that is no settings file of this version is refused with one code."""
    with pytest.raises(RequestRefused) as refused:
        settings_from_toml(text)
    assert refused.value.code == code
