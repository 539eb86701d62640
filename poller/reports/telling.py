"""Words that every report needs: names of things, directions, limits, in Japanese and English. Pure."""

from dataclasses import dataclass
from typing import Final

from poller.estate import Estate, Severity
from poller.percentiles import PROVISIONAL_BELOW
from poller.reports.document import Cell, Form, Mark
from poller.reports.figures import Traffic
from poller.reports.formats import Writer
from poller.reports.gather import LineFigures
from poller.reports.incidents import subject_name

MOST_ROWS: Final = 40
"""Of a list of single events; the longest are shown."""
FULL_RATIO: Final = 0.8
"""Of a limit, from which a figure is marked."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes about one estate in one language."""

    estate: Estate
    lang: str

    @property
    def writer(self) -> Writer:
        """Values for people."""
        return Writer(self.lang, self.estate.organisation.timezone)

    def say(self, ja: str, en: str) -> str:
        """The sentence of this report's language."""
        return en if self.lang == "en" else ja

    def way(self, way: str) -> str:
        """A direction, seen from the estate or the tenant."""
        return self.say("下り（受信）", "inbound") if way == "in" else self.say("上り（送信）", "outbound")

    def short_way(self, way: str) -> str:
        """A direction in a table's head."""
        return self.say("下り", "in") if way == "in" else self.say("上り", "out")

    def line(self, id_: str) -> str:
        """The name of a line group or circuit; "total" is all lines."""
        if id_ == "total":
            return self.say("全回線合計", "all lines")
        entry = self.estate.line_groups.get(id_) or self.estate.circuits.get(id_)
        return id_ if entry is None else entry.name.lang(self.lang)

    def tenant(self, id_: str) -> str:
        """The name of a tenant."""
        return self.estate.tenants[id_].name.lang(self.lang)

    def device(self, id_: str) -> str:
        """The name of a device, with its id, which is on its label."""
        return f"{self.estate.devices[id_].name.lang(self.lang)} {id_}"

    def service(self, id_: str) -> str:
        """The name of a service."""
        return self.estate.services[id_].name.lang(self.lang)

    def subject(self, subject: str) -> str:
        """What an alert is about."""
        return subject_name(subject, self.estate, self.lang)

    def rule(self, id_: str) -> str:
        """What a rule is called; the id of one that no longer exists."""
        rule = self.estate.rules.get(id_)
        return id_ if rule is None else rule.name.lang(self.lang)

    def severity(self, severity: Severity) -> str:
        """How much it mattered."""
        return {
            Severity.SERIOUS: self.say("重大", "serious"),
            Severity.MINOR: self.say("軽微", "minor"),
            Severity.NOTICE: self.say("通知", "notice"),
        }[severity]

    def scope(self, scope: str) -> str:
        """Which side of the demarcation point."""
        return {
            "inside": self.say("内側", "inside"),
            "outside": self.say("外側", "outside"),
            "none": self.say("対象外", "no fault"),
        }.get(scope, self.say("未確定", "undetermined"))

    def limit_word(self, line: LineFigures) -> str:
        """What a line is held against, without the rate."""
        return self.say("帯域確保", "committed rate") if line.committed_rate else self.say("上限", "ceiling")

    def limit(self, line: LineFigures) -> str:
        """What a line is held against, such as 帯域確保 1.00 Gbps."""
        rate = self.writer.value(line.limit, Form.RATE)
        if line.committed_rate:
            return self.say(f"帯域確保 {rate}", f"committed {rate}")
        return self.say(f"上限 {rate}", f"ceiling {rate}")

    def coverage_note(self) -> str:
        """What provisional means."""
        least = f"{PROVISIONAL_BELOW:.0%}"
        return self.say(
            f"「暫定」は、期間中に観測できた割合が{least}に満たない値です。割合を併記しています。",
            f"Provisional figures rest on less than {least} of their period; the part that was seen is given.",
        )


def provisional(value: object, traffic: Traffic, mark: Mark | None = None) -> object:
    """The value as a cell: with its coverage where it is provisional, with its mark where it has one."""
    if value is None:
        return None
    if not traffic.provisional and mark is None:
        return value
    return Cell(value, traffic.coverage_ratio if traffic.provisional else None, mark)


def mark_of(ratio: float | None) -> Mark | None:
    """A mark for a use against its limit: none below 80 %, a warning up to 100 %, bad above."""
    if ratio is None or ratio < FULL_RATIO:
        return None
    return Mark.WARNING if ratio <= 1.0 else Mark.BAD
