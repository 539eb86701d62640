"""Every reference that leads nowhere is told where it is written, with what was probably meant."""

from pathlib import Path

import pytest

from poller.config import ConfigurationError, load

ESTATE = """\
organisation: {name: Our network}
sites: {hall: {}}
credentials: {core: {version: 3, security_name: u}}
contacts: {desk: {role: provider, email: noc@example.jp}, staff: {role: officer}}
calendars: {office: {hours: {mon: 08:30-17:15}}}
redundancy_groups: {pair: {}}
devices:
  fw-1: {addresses: [192.0.2.1], role: firewall, site: hall, credentials: core, redundancy_group: pair}
  fw-2: {addresses: [192.0.2.2], role: firewall, site: hall, redundancy_group: pair}
  sw-1: {addresses: [192.0.2.3], role: switch, site: hall, parents: [pair], profile: panos}
circuits:
  int-1: {kind: internet, ceiling_rate: 1G, provider: desk, site: hall, measured_by: {device: fw-1, interface: x}}
line_groups: {net: {members: [int-1], ceiling_rate: 2G}}
tenants:
  tsu:
    attachments: [{line: net, device: fw-2, interface: vlan1}]
    caps: [{line: net, sustained_rate: 10M}]
    contacts: [staff]
services: {dns-1: {kind: dns, target: 192.0.2.9, query: a.example, devices: [fw-1], calendar: office}}
rules: {cpu: {on: device.cpu_ratio, above: 80%, clear_below: 70%, severity: minor, where: {devices: ["fw-*"]}}}
maintenance:
  patch: {start: 2026-11-21 22:00, end: 2026-11-22 02:00, where: {circuits: [int-1]}, contacts: [staff]}
"""

BROKEN = [
    ("site: hall, credentials", "site: hal, credentials", "devices.fw-1.site", "Did you mean 'hall'?"),
    ("credentials: core", "credentials: cor", "devices.fw-1.credentials", "Did you mean 'core'?"),
    ("parents: [pair]", "parents: [pear]", "devices.sw-1.parents[0]", "Did you mean 'pair'?"),
    ("parents: [pair]", "parents: [sw-1]", "devices.sw-1.parents", "runs in a circle: sw-1 -> sw-1"),
    ("profile: panos", "profile: pannos", "devices.sw-1.profile", "Did you mean 'panos'?"),
    ("provider: desk", "provider: dask", "circuits.int-1.provider", "Did you mean 'desk'?"),
    ("provider: desk", "provider: staff", "circuits.int-1.provider", "has the role officer, not provider"),
    ("measured_by: {device: fw-1", "measured_by: {device: fw1", "circuits.int-1.measured_by.device", "'fw-1'?"),
    ("provider: desk, site: hall", "provider: desk, site: hill", "circuits.int-1.site", "Did you mean 'hall'?"),
    ("members: [int-1]", "members: [int-2]", "line_groups.net.members[0]", "Did you mean 'int-1'?"),
    ("members: [int-1]", "members: [net]", "line_groups.net.members", "runs in a circle: net -> net"),
    ("[{line: net, device", "[{line: nett, device", "tenants.tsu.attachments[0].line", "Did you mean 'net'?"),
    ("device: fw-2, interface", "device: fv-2, interface", "tenants.tsu.attachments[0].device", "Did you mean 'fw-2'?"),
    ("caps: [{line: net", "caps: [{line: nat", "tenants.tsu.caps[0].line", "Did you mean 'net'?"),
    ("    contacts: [staff]", "    contacts: [stuff]", "tenants.tsu.contacts[0]", "Did you mean 'staff'?"),
    (
        "devices: [fw-1], calendar",
        "devices: [fw-3], calendar",
        "services.dns-1.devices[0]",
        "there is no device 'fw-3'",
    ),
    ("calendar: office", "calendar: offic", "services.dns-1.calendar", "Did you mean 'office'?"),
    ("contacts: [staff]}", "contacts: [stuff]}", "maintenance.patch.contacts[0]", "Did you mean 'staff'?"),
    ('["fw-*"]', '["fx-*"]', "rules.cpu.where.devices[0]", "no device matches 'fx-*'"),
    ("circuits: [int-1]}", "circuits: [int-2]}", "maintenance.patch.where.circuits[0]", "Did you mean 'int-1'?"),
    ("above: 80%", "above: 80", "rules.cpu.above", 'Did you mean "80%"?'),
    ("groups: {pair: {}}", "groups: {pair: {}, sw-1: {}}", "redundancy_groups.sw-1", "has the id of a device"),
    ("mon: 08:30-17:15", "mon: 8:30-17", "calendars.office.hours.mon", "is no span of hours"),
]


def test_the_estate_that_is_broken_below_is_good(tmp_path: Path) -> None:
    (tmp_path / "hinomi.yaml").write_text(ESTATE, encoding="utf-8")
    assert () == load(tmp_path, ("panos",)).warnings


@pytest.mark.parametrize(("good", "bad", "path", "text"), BROKEN)
def test_a_reference_that_leads_nowhere_is_told(tmp_path: Path, good: str, bad: str, path: str, text: str) -> None:
    assert 1 == ESTATE.count(good)
    (tmp_path / "hinomi.yaml").write_text(ESTATE.replace(good, bad), encoding="utf-8")
    with pytest.raises(ConfigurationError) as refusal:
        load(tmp_path, ("panos",))
    told = [problem for problem in refusal.value.problems if problem.path == path and text in problem.text]
    assert 1 == len(told), refusal.value
    assert 0 < told[0].place.line


def test_hidden_files_are_not_included(tmp_path: Path) -> None:
    """Editors leave lock files such as .#devices.yaml beside the one being written."""
    (tmp_path / "hinomi.yaml").write_text(f"{ESTATE}include: more/*.yaml\n", encoding="utf-8")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / ".#sites.yaml").write_text("nonsense", encoding="utf-8")
    (tmp_path / "more" / "sites.yaml").write_text("sites: {annex: {}}", encoding="utf-8")
    assert ["hall", "annex"] == list(load(tmp_path, ("panos",)).estate.sites)
