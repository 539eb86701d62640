"""Units as the operator writes them in configuration, and as people read them on wall, mail and report.

Rates are bits per second and decimal ("300M", "4G"), volumes are octets and decimal ("20TB"), durations are seconds
("60s", "5m", "1h30m"), ratios are 0..1 ("80%" or 0.8).
"""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator

_DECIMAL: Final = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)([kKMGT]?)(?:bps|bit/s)?")
_NEARLY_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt])(?:bps|bit/s|b)?", re.IGNORECASE | re.ASCII)
_VOLUME: Final = re.compile(r"(\d+(?:\.\d+)?)([kKMGTP]?)B")
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_RATIO: Final = re.compile(r"(\d+(?:\.\d+)?)(%?)")


def parse_rate(value: object) -> int:
    """Bits per second of "300M", "4G" or "1.5G"; ValueError says how to write one."""
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        hint = _meant_rate(value) if isinstance(value, str) else ""
        raise ValueError(f'{value!r} is not a rate: write bits per second such as "300M" or "4G"{hint}')
    return _whole(match[1], _DECIMAL[match[2]])


def _meant_rate(text: str) -> str:
    """The question that ends a sentence about a rate of which only the prefix's case or a blank is wrong ("300m")."""
    match = _NEARLY_RATE.fullmatch(text.strip())
    if match is None:
        return ""
    prefix = "k" if match[2] in "kK" else match[2].upper()
    return f'. Did you mean "{match[1]}{prefix}"?'


def parse_volume(value: object) -> int:
    """Octets of "20TB" or "500GB" (decimal); ValueError says how to write one."""
    match = _VOLUME.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'{value!r} is not a volume: write octets such as "500GB" or "20TB"')
    return _whole(match[1], _DECIMAL[match[2]])


def parse_duration(value: object) -> float:
    """Seconds of "60s", "5m" or "1h30m"; ValueError says how to write one."""
    text = value.strip() if isinstance(value, str) else ""
    parts = list(_DURATION_PART.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise ValueError(f'{value!r} is not a duration: write "60s", "5m" or "1h30m"')
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


def parse_ratio(value: object) -> float:
    """0.8 of "80%" or 0.8; ValueError says how to write one."""
    if isinstance(value, str) and (match := _RATIO.fullmatch(value.strip())) is not None:
        return float(match[1]) / 100.0 if match[2] else float(match[1])
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ValueError(f'{value!r} is not a ratio: write "80%" or 0.8')


def _whole(digits: str, factor: int) -> int:
    whole, _, fraction = digits.partition(".")
    scaled = int(whole + fraction) * factor
    return scaled // int(10 ** len(fraction))


Rate = Annotated[int, BeforeValidator(parse_rate)]
"""Bits per second."""
Volume = Annotated[int, BeforeValidator(parse_volume)]
"""Octets."""
Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds."""
Ratio = Annotated[float, BeforeValidator(parse_ratio)]
"""0..1; above 1 is allowed where a limit may be exceeded."""


def format_rate(bits_per_second: float) -> str:
    """A rate for people: "1.42 Gbps", "212 Mbps", "640 kbps", three significant digits."""
    for factor, unit in ((1e12, "Tbps"), (1e9, "Gbps"), (1e6, "Mbps"), (1e3, "kbps")):
        if bits_per_second >= factor * 0.9995:
            return f"{_three_digits(bits_per_second / factor)} {unit}"
    return f"{bits_per_second:.0f} bps"


def format_volume(octets: int) -> str:
    """A volume for people, decimal: "1.28 TB", "640 GB"."""
    for factor, unit in ((10**15, "PB"), (10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if octets >= factor * 0.9995:
            return f"{_three_digits(octets / factor)} {unit}"
    return f"{octets} B"


def _three_digits(value: float) -> str:
    if value >= 99.95:  # noqa: PLR2004 - where rounding to one decimal place would print four digits
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"  # noqa: PLR2004
