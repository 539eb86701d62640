// Numbers and durations as people say them. Pure: no page, no clock.
export const SIGNS = { normal: "●", notice: "・", minor: "▲", serious: "■", unknown: "？" };

export function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, key) => values[key] ?? whole);
}

export function rate(bitsPerSecond) {
  if (bitsPerSecond === null || bitsPerSecond === undefined) return "–";
  for (const [factor, unit] of [[1e12, "Tbps"], [1e9, "Gbps"], [1e6, "Mbps"], [1e3, "kbps"]]) {
    if (bitsPerSecond >= factor * 0.9995) {
      const value = bitsPerSecond / factor;
      return `${value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2)} ${unit}`;
    }
  }
  return `${bitsPerSecond.toFixed(0)} bps`;
}

export function percent(ratio, digits = 0) {
  return ratio === null || ratio === undefined ? "–" : `${(ratio * 100).toFixed(digits)}%`;
}

export function age(milliseconds, t) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds}${t("second")}`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}${t("minute")}`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)}${t("hour")}`;
  return `${Math.floor(seconds / 86400)}${t("day")}`;
}
