// The service level of a month, a year or a fiscal year: what was promised, what was delivered, and what may still be lost.
import { $, address, ask, element, link, open, table } from "/static/page.js";
import { SIGNS, duration, moment } from "/static/words.js";

const { lang, t } = await open();
const KINDS = ["service", "circuit", "tenant", "device"];
const span = (seconds) => (seconds ? duration(Math.round(seconds) * 1000, t).trim() : "0");
const share = (ratio) => (ratio === null ? "–" : `${(Math.floor(ratio * 1e5) / 1e3).toFixed(3)}%`); // never rounded up to a promise

// "2026年11月（令和8年）", "2026年度（令和8年度）"; periods as the API names them.
function periodName(name) {
  const [, fiscal, year, month] = /^(FY)?(\d{4})(?:-(\d\d))?$/.exec(name) ?? [];
  if (!year) return name;
  if (lang === "en") return month ? new Date(Date.UTC(year, month - 1, 15)).toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }) : fiscal ? `fiscal year ${year}` : year;
  const era = new Date(Date.UTC(year, (month ?? (fiscal ? 4 : 7)) - 1, 15)).toLocaleDateString("ja-JP-u-ca-japanese", { era: "long", year: "numeric", timeZone: "UTC" });
  return month ? `${year}年${Number(month)}月（${era}${Number(month)}月）` : fiscal ? `${year}年度（${era}度）` : `${year}年（${era}）`;
}

// As short as it is clear beside the others: "11月", "令和8年度".
function shortName(name) {
  if (lang === "en" || !/^(FY)?\d{4}/.test(name)) return periodName(name);
  const [year, month] = name.split("-");
  return month ? `${Number(month)}月` : /（(.*)）/.exec(periodName(year))[1];
}

// This month and the five before, this fiscal year and the last; of a moment in Japan.
function choices(nowMs) {
  const [year, month] = new Date(nowMs + 32400000).toISOString().split("-").map(Number);
  const months = [0, 1, 2, 3, 4, 5].map((back) => new Date(Date.UTC(year, month - 1 - back, 1)).toISOString().slice(0, 7));
  const fiscal = month >= 4 ? year : year - 1;
  return [...months, `FY${fiscal}`, `FY${fiscal - 1}`];
}

function drawChoices(current) {
  $("spans").setAttribute("aria-label", t("period"));
  $("spans").replaceChildren(...choices(Date.now()).map((name) => {
    const made = element("a", "", shortName(name));
    made.title = periodName(name);
    made.href = address("/service-level", { period: name });
    if (name === current) made.setAttribute("aria-current", "true");
    return made;
  }));
}

// Sign and word: a promise that is kept, one that is nearly used up, one that is broken; nothing where none was made.
function verdict(level) {
  if (level.target === null || level.availability === null) return ["–", ""];
  if (level.availability < level.target) return [`${SIGNS.serious} ${t("level_missed")}`, "serious"];
  if (level.allowance_left_seconds < level.allowance_seconds / 4) return [`${SIGNS.minor} ${t("level_near")}`, "minor"];
  return [`${SIGNS.normal} ${t("level_met")}`, "normal"];
}

function cells(level, names) {
  const [kind, id] = level.subject.split("/");
  const excluded = Object.entries(level.excluded_seconds).filter(([, seconds]) => seconds).map(([why, seconds]) => `${t(`excluded_${why}`)} ${span(seconds)}`);
  const incidents = element("span");
  for (const number of new Set(level.outages.map((outage) => outage.incident))) incidents.append(link("incident", number, "", number), " ");
  return [link(kind, id, "", names[level.subject][lang]), verdict(level), [level.target === null ? "–" : share(level.target), "number"], [share(level.availability), "number"],
    [span(level.down_seconds), "number"], [excluded.join(" / ") || "0", "number"], [level.allowance_left_seconds === null ? "–" : span(Math.max(0, level.allowance_left_seconds)), "number"], incidents];
}

function drawLevels(report) {
  const headings = [t("name"), t("level"), [t("level_target"), "number"], [t("level_availability"), "number"], [t("level_down"), "number"],
    [t("level_excluded"), "number"], [t("level_left"), "number"], t("incidents")];
  const parts = KINDS.flatMap((kind) => {
    const levels = report.levels.filter((level) => level.subject.startsWith(`${kind}/`));
    return levels.length ? [element("h2", "", t(`kind_${kind}`)), table(headings, levels.map((level) => cells(level, report.names)))] : [];
  });
  const inTime = (seconds, kept) => (seconds === null ? [t("notice_none"), kept ? "" : "serious"] : [`${span(seconds)} ${kept ? "" : t("notice_late")}`, kept ? "" : "serious"]);
  const notices = report.notices.map((one) => [link("incident", one.incident, "", one.incident), lang === "en" ? one.title_en : one.title_ja, moment(one.opened_ns, lang),
    inTime(one.first_seconds, one.first_seconds !== null && one.first_seconds <= 3600), inTime(one.second_seconds, one.second_seconds === null ? !one.second_due : one.second_seconds <= 7200)]);
  if (notices.length) parts.push(element("h2", "", t("notices")), table([t("id"), t("title"), t("began"), t("notice_first"), t("notice_second")], notices));
  $("levels").replaceChildren(...parts);
}

const period = new URLSearchParams(location.search).get("period");
document.title = `${t("page_service-level")} - ${t("brand")}`;
try {
  const report = await ask(`/api/v1/service-level${period ? `?${new URLSearchParams({ period })}` : ""}`);
  drawChoices(report.period.name);
  $("period").textContent = t("period_said", { name: periodName(report.period.name), until: moment(report.until_ns, lang) });
  drawLevels(report);
} catch (error) {
  drawChoices(period);
  $("trouble").hidden = false;
  $("trouble").textContent = t(error.message === "400" ? "no_such_period" : "lost");
}
