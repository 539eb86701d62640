"""MIB files become names, ahead of time."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from poller.cli import app
from poller.mibs import BadMib, compile_mib
from traps.catalogue import load_catalogue

ACME = """
ACME-ALARM-MIB DEFINITIONS ::= BEGIN
IMPORTS MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, enterprises FROM SNMPv2-SMI
        DisplayString, TruthValue FROM SNMPv2-TC;
acme MODULE-IDENTITY LAST-UPDATED "202601010000Z" ORGANIZATION "Acme" CONTACT-INFO "-" DESCRIPTION "-"
     ::= { enterprises 4242 }
acmeObjects OBJECT IDENTIFIER ::= { acme 1 }
acmeEvents  OBJECT IDENTIFIER ::= { acme 2 0 }
acmeDoor OBJECT-TYPE SYNTAX INTEGER { open(1), closed(2) } MAX-ACCESS read-only STATUS current DESCRIPTION "-"
     ::= { acmeObjects 1 }
acmeLocked OBJECT-TYPE SYNTAX TruthValue MAX-ACCESS read-only STATUS current DESCRIPTION "-" ::= { acmeObjects 2 }
acmeDoorChanged NOTIFICATION-TYPE OBJECTS { acmeDoor, acmeLocked } STATUS current
     DESCRIPTION "The door of the rack was moved. Somebody may be there." ::= { acmeEvents 7 }
END
"""


def test_a_mib_gives_names_enumerations_and_the_order_of_varbinds(tmp_path: Path) -> None:
    (tmp_path / "acme.txt").write_text(ACME)
    status = CliRunner().invoke(app, ["mib", "add", str(tmp_path / "acme.txt"), "-c", str(tmp_path), "--lang", "en"])
    assert 0 == status.exit_code, status.output
    assert "1 notifications, 2 objects" in status.output
    catalogue = load_catalogue([tmp_path / "traps" / "ACME-ALARM-MIB.yaml"])
    meaning = catalogue.meaning((1, 3, 6, 1, 4, 1, 4242, 2, 0, 7))
    assert ("acmeDoorChanged", ("acmeDoor", "acmeLocked")) == (meaning.name, meaning.varbinds)
    assert "The door of the rack was moved" == meaning.text("en")
    door = catalogue.object_of((1, 3, 6, 1, 4, 1, 4242, 1, 1, 0))
    locked = catalogue.object_of((1, 3, 6, 1, 4, 1, 4242, 1, 2, 0))
    assert door is not None
    assert locked is not None
    assert ({1: "open", 2: "closed"}, {1: "true", 2: "false"}) == (door.values, locked.values)


def test_what_is_added_twice_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "acme.txt").write_text(ACME)
    (tmp_path / "traps").mkdir()
    (tmp_path / "traps" / "ACME-ALARM-MIB.yaml").write_text("mine\n")
    status = CliRunner().invoke(app, ["mib", "add", str(tmp_path / "acme.txt"), "-c", str(tmp_path)])
    assert 1 == status.exit_code
    assert "mine\n" == (tmp_path / "traps" / "ACME-ALARM-MIB.yaml").read_text()


def test_a_module_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "acme.txt").write_text(ACME.replace("SNMPv2-TC", "OTHER-TC"))
    with pytest.raises(BadMib, match="OTHER-TC"):
        compile_mib(tmp_path / "acme.txt")


@pytest.mark.skipif(
    not Path("/usr/share/snmp/mibs/NET-SNMP-AGENT-MIB.txt").exists(), reason="net-snmp's MIBs are absent"
)
def test_net_snmps_own_mib_compiles_with_what_lies_beside_it() -> None:
    compiled = compile_mib(Path("/usr/share/snmp/mibs/NET-SNMP-AGENT-MIB.txt"))
    assert ("NET-SNMP-AGENT-MIB", 3) == (compiled.module, compiled.notifications)


def test_what_is_no_mib_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    with pytest.raises(BadMib, match="is no MIB module"):
        compile_mib(tmp_path / "x")
