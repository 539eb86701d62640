// Numbers and durations as people say them. Pure: no page, no clock.
export const SIGNS = { normal: "●", notice: "◆", minor: "▲", serious: "■", unknown: "？" };

// The language to speak: what the address asks for, else the organisation's; Japanese where neither is one of ours.
export function spoken(asked, usual) {
  return [asked, usual].find((lang) => lang === "ja" || lang === "en") ?? "ja";
}

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

// "212M", "1.42G": where the place is small and the unit is known.
export function shortRate(bitsPerSecond) {
  if (bitsPerSecond === null || bitsPerSecond === undefined) return "–";
  for (const [factor, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (bitsPerSecond >= factor * 0.9995) {
      const value = bitsPerSecond / factor;
      return `${Number(value >= 99.95 ? value.toFixed(0) : value >= 9.995 ? value.toFixed(1) : value.toFixed(2))}${unit}`;
    }
  }
  return bitsPerSecond.toFixed(0);
}

export function response(seconds, t) {
  if (seconds === null || seconds === undefined) return "–";
  return seconds < 0.9995 ? `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms` : `${seconds.toFixed(1)}${t("second")}`;
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

// How long something has lasted, in its two largest units: "2時間13分".
export function duration(milliseconds, t) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60000));
  if (minutes < 1) return age(milliseconds, t);
  if (minutes < 60) return `${minutes}${t("minute")}`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)}${t("hour")}${minutes % 60}${t("minute")}`;
  return `${Math.floor(minutes / 1440)}${t("day")}${Math.floor(minutes / 60) % 24}${t("hour")}`;
}

// A moment in Japan: "2026年11月21日 10:42:07"; dates alone without the clock.
export function moment(ns, lang, clock = true) {
  if (!ns) return "–";
  const when = new Date(ns / 1e6);
  const plain = { timeZone: "Asia/Tokyo", year: "numeric", month: lang === "en" ? "short" : "numeric", day: "numeric" };
  const day = lang === "en" ? when.toLocaleDateString("en-GB", plain) : when.toLocaleDateString("ja-JP-u-ca-gregory", { ...plain, month: "long" });
  return clock ? `${day} ${when.toLocaleTimeString("ja-JP", { timeZone: "Asia/Tokyo", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false })}` : day;
}

// Octets as people say them: "9.52 TB", decimal, as contracts count.
export function volume(octets) {
  if (octets === null || octets === undefined) return "–";
  for (const [factor, unit] of [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]) {
    if (octets >= factor) return `${(octets / factor).toFixed(octets / factor >= 100 ? 0 : octets / factor >= 10 ? 1 : 2)} ${unit}`;
  }
  return `${octets} B`;
}
