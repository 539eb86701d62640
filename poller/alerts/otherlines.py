"""The lines that are not at fault, for those who decide on a detour: how they are, and how much they carry."""

from collections.abc import Mapping
from typing import Final

from poller.alerts.incident import Incident
from poller.alerts.subjects import Subject
from poller.alerts.words import pick, subject_name, value_text
from poller.estate import Estate
from poller.sample import FieldValue
from poller.units import format_rate

OTHER_LINE: Final = "other_line"
"""The field of such evidence: its value is the line's state, its words the load."""


def other_lines(incident: Incident, estate: Estate, lang: str) -> list[str]:
    """A sentence for each."""
    lines = []
    for entry in incident.evidence:
        if entry.field == OTHER_LINE:
            name = subject_name(Subject.parse(entry.subject), estate, lang)
            state = value_text("line_group", entry.field, entry.value, lang)
            load = pick(lang, *entry.words)
            ja = f"ほかの回線：{name}は{state}です{f'（{load}）' if load else ''}。"
            lines.append(pick(lang, ja, f"Other line: {name} is {state}{f' ({load})' if load else ''}."))
    return lines


def load_words(known: Mapping[str, FieldValue]) -> tuple[str, str]:
    """How much a line carries inwards, and of what, Japanese and English; empty where nothing is known."""
    rate = known.get("in_bits_per_second")
    if not isinstance(rate, int | float):
        return "", ""
    ja, en = f"下り {format_rate(rate)}", f"{format_rate(rate)} inward"
    for field, of_ja, of_en in (
        ("in_committed_ratio", "帯域確保", "committed rate"),
        ("in_ceiling_ratio", "契約上限", "ceiling"),
    ):
        ratio = known.get(field)
        if isinstance(ratio, int | float):
            return f"{ja}、{of_ja}の{ratio * 100:.0f}%", f"{en}, {ratio * 100:.0f}% of the {of_en}"
    return ja, en
