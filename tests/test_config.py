"""The configuration: strict, and everything that is wrong is told at once, where it is."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.config import ConfigurationError, Place, Problem, load
from poller.config.japanese import in_japanese

BROKEN = Path(__file__).parent / "broken"
PROFILES = ("fortigate", "panos")
GOOD = """\
organisation: {name: {ja: 庁内ネットワーク, en: Our network}}
sites: {hall: {}}
credentials: {core: {version: "2c", community: "env:COMMUNITY"}}
devices:
  fw-1: {addresses: [192.0.2.1], role: firewall, site: hall, credentials: core}
"""


def write(folder: Path, text: str, name: str = "hinomi.yaml") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("case", sorted(path.name for path in BROKEN.iterdir()))
def test_a_broken_configuration_is_told_word_for_word(case: str) -> None:
    """R72: file, line, column, path, and what was probably meant."""
    with pytest.raises(ConfigurationError) as refusal:
        load(BROKEN / case, PROFILES)
    assert (BROKEN / case / "expected.txt").read_text(encoding="utf-8") == f"{refusal.value}\n"


def test_there_are_twenty_broken_configurations_and_more() -> None:
    assert len(list(BROKEN.iterdir())) >= 20


def test_a_good_configuration_becomes_an_estate(tmp_path: Path) -> None:
    configuration = load(write(tmp_path, GOOD), PROFILES)
    device = configuration.estate.devices["fw-1"]
    assert ("fw-1", "192.0.2.1", "fw-1") == (device.id, str(device.addresses[0]), device.name.ja)
    assert tmp_path / "/var/lib/hinomi" == configuration.state_directory


def test_weak_credentials_are_warned_of(tmp_path: Path) -> None:
    """R8: versions 1 and 2c, MD5 and DES work, and are said to be weak."""
    weak = (
        'credentials:\n  old: {version: "3", security_name: u, auth: MD5, auth_password: "env:A", '
        'priv: DES, priv_password: "env:B"}\n  older: {version: "1", community: "env:C"}\n'
    )
    configuration = load(write(tmp_path, f"organisation: {{name: Our network}}\n{weak}"), PROFILES)
    expected = ["credentials.old.auth", "credentials.old.priv", "credentials.older.version"]
    assert expected == sorted(warning.path for warning in configuration.warnings)


def test_sections_may_be_spread_over_files(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "include: devices/*.yaml\n")
    (tmp_path / "devices").mkdir()
    write(tmp_path / "devices", "devices: {sw-1: {addresses: [192.0.2.2], role: switch, site: hall}}\n", "b.yaml")
    configuration = load(tmp_path, PROFILES)
    assert ["fw-1", "sw-1"] == list(configuration.estate.devices)
    assert ["hinomi.yaml", "devices/b.yaml"] == [str(path.relative_to(tmp_path)) for path in configuration.files]


@pytest.mark.parametrize("name", ["name", "kind", "addresses", "role", "devices", "id"])
def test_an_entry_may_be_called_like_a_setting(tmp_path: Path, name: str) -> None:
    """R72: an id is the operator's word, also where it is one of ours."""
    service = f"services:\n  {name}: {{kind: tcp, target: '192.0.2.9:25'}}\n"
    estate = load(write(tmp_path, GOOD.replace("fw-1:", f"{name}:").replace("hall", name) + service), PROFILES).estate
    assert (name, name, name) == (estate.devices[name].name.ja, estate.devices[name].id, estate.devices[name].site)
    assert (name, name) == (estate.sites[name].name.en, estate.services[name].name.en)


@pytest.mark.parametrize("name", ["name", "fw-1"])
def test_what_is_wrong_in_an_entry_called_like_a_setting_is_told_as_elsewhere(tmp_path: Path, name: str) -> None:
    """R72."""
    text = GOOD.replace("fw-1:", f"{name}:").replace("role: firewall", "rol: firewall, role: firewall")
    with pytest.raises(ConfigurationError) as refusal:
        load(write(tmp_path, text), PROFILES)
    (problem,) = refusal.value.problems
    assert (f"devices.{name}.rol", "is no setting here. Did you mean 'role'?") == (problem.path, problem.text)


def test_words_and_numbers_are_what_they_look_like(tmp_path: Path) -> None:
    """YAML 1.1 would read no as false, 0755 as 493 and 12:30 as 750."""
    text = GOOD.replace("fw-1:", "no:").replace("hall: {}", "hall: {name: 12:30, address: 0755}")
    estate = load(write(tmp_path, text), PROFILES).estate
    assert ["no"] == list(estate.devices)
    assert ("12:30", "0755") == (estate.sites["hall"].name.ja, estate.sites["hall"].address)


def test_secrets_are_read_by_reference_and_do_not_print(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R76: neither the value nor an f-string of it shows the secret."""
    monkeypatch.setenv("COMMUNITY", "hunter2")
    reference = load(write(tmp_path, GOOD), PROFILES).estate.credentials["core"].community
    assert reference is not None
    secret = reference.read(tmp_path)
    assert "hunter2" == secret.reveal()
    assert "hunter2" not in f"{secret} {secret!r} {[secret]} {reference}"


@pytest.mark.parametrize(
    ("lang", "said"),
    [
        ("en", "devices.fw-1.site: there is no site 'hal'. Did you mean 'hall'?\n1 problem in "),
        ("ja", "devices.fw-1.site: site に 'hal' はありません。'hall' ではありませんか。\n"),
    ],
)
def test_check_prints_problems_and_exits_with_2(lang: str, said: str) -> None:
    result = CliRunner().invoke(app, ["check", "-c", str(BROKEN / "unknown-site"), "--lang", lang])
    assert 2 == result.exit_code
    assert said in result.stderr


@pytest.mark.parametrize("case", sorted(path.name for path in BROKEN.iterdir()))
def test_every_broken_configuration_is_told_in_japanese_too(case: str) -> None:
    """R72: at the same place, with what was written; no English sentence is left around it."""
    with pytest.raises(ConfigurationError) as refusal:
        load(BROKEN / case, PROFILES)
    for problem in refusal.value.problems:
        told = in_japanese(problem)
        head = f"{problem.place}: {problem.path}: " if problem.path else f"{problem.place}: "
        assert told.startswith(head)
        assert re.search("[ぁ-ん]", told.removeprefix(head)), told
        assert not re.search(r"\b(is|are|must|not|the|and has|mean|there|of)\b", _bare(told)), told


def _bare(told: str) -> str:
    """Without what was quoted, what YAML's parser said, and what names a thing by its English name."""
    return re.sub(r"（did not find.*?）|（found.*?）|（今は.*?）|vlan101 of fw-1|new\.yaml", "", told)


def test_what_the_catalogue_does_not_know_stays_english() -> None:
    problem = Problem(Place("hinomi.yaml", 1, 2), "wall", "is of a new kind")
    assert "hinomi.yaml:1:2: wall: is of a new kind" == in_japanese(problem)


def test_check_summarises_the_estate(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", "-c", str(write(tmp_path, GOOD)), "--lang", "ja"])
    assert 0 == result.exit_code
    assert "庁内ネットワーク" in result.stdout
    assert "ファイアウォール 1" in result.stdout


def test_check_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["check", "-c", str(tmp_path / "nowhere")])
    assert 2 == result.exit_code
    assert "nowhere: is no directory" in result.stderr
