// A page for work: one device, circuit, tenant or incident, with its last readings and its past.
import { rate, shortRate, percent, age, duration, response, fill } from "/static/words.js";
import { element, link, language, words } from "/static/page.js";

const [, kind, id] = location.pathname.split("/").map(decodeURIComponent);
const span = new URLSearchParams(location.search).get("span") ?? "6h";
const lang = language() ?? "ja";
const messages = await words(lang);
const t = (key, values) => fill(messages[key] ?? key, values);
const $ = (name) => document.getElementById(name);
const SPANS = ["1h", "6h", "1d", "7d", "31d", "13mo"];
const STROKES = ["#62b0e8", "#e0a64a", "#4fb8a8"];
const moment = (ns) => (ns ? new Date(ns / 1e6).toLocaleString(lang === "en" ? "en-GB" : "ja-JP", { timeZone: "Asia/Tokyo" }) : "–");
const named = (name) => (typeof name === "object" && name !== null ? name[lang] : name);

// Which readings a page tells, and how: key, word, form.
const FACTS = {
  device: [["id", "id"], ["role", "role", (role) => t(`role_${role}`)], ["site", "site"], ["up", "state", (up) => (up === null ? t("unknown") : up ? t("up") : t("no_answer"))],
    ["reason", "reason"], ["ha_role", "ha_role", (role) => t(role)], ["cpu", "cpu", percent], ["memory", "memory", percent], ["sessions", "sessions"], ["sessions_ratio", "sessions_ratio", percent],
    ["round_trip_delay_seconds", "round_trip_delay", (seconds) => response(seconds, t)], ["round_trip_loss_ratio", "round_trip_loss", percent]],
  circuit: [["id", "id"], ["kind", "kind"], ["state", "state", (state) => t(state ?? "unknown")], ["reason", "reason"], ["active", "role", (active) => t(active ? "active" : "standby")],
    ["in", "in", rate], ["out", "out", rate], ["committed", "committed", rate], ["ceiling", "ceiling", rate], ["in_committed_ratio", "in_committed", percent], ["out_committed_ratio", "out_committed", percent]],
  tenant: [["id", "id"], ["in", "in", rate], ["out", "out", rate], ["cap_ratio", "cap_ratio", percent], ["month_octets", "month_volume", (octets) => `${(octets / 1e9).toFixed(2)} GB`]],
  incident: [["id", "id"], ["severity", "severity", t], ["since_ns", "began", moment], ["scope", "scope", t], ["acknowledged_by", "acknowledged", (who) => who]],
};
const FORMS = { "bits/s": [rate, shortRate], ratio: [(value) => percent(value, 1), percent], seconds: [(value) => response(value, t), (value) => response(value, t)] };

async function ask(path) {
  const answer = await fetch(path);
  if (answer.status === 401) location.assign(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

function row(word, ...values) {
  const made = element("tr");
  made.append(element("th", "", word), ...values.map((value) => element("td", "", value)));
  return made;
}

function drawFacts(entry, nowNs) {
  $("name").textContent = named(entry.name ?? entry.title);
  document.title = `${named(entry.name ?? entry.title)} - ${t("brand")}`;
  const facts = FACTS[kind].filter(([key]) => entry[key] !== null && entry[key] !== undefined && entry[key] !== "")
    .map(([key, word, form]) => row(t(word), form ? form(entry[key]) : String(entry[key])));
  if (kind === "incident") facts.push(row(t("lasted"), duration((nowNs - entry.since_ns) / 1e6, t)));
  $("facts").replaceChildren(...facts);
  if (entry.interval) {
    const old = nowNs - entry.time_ns > (2 * entry.interval + 5) * 1e9;
    $("age").textContent = entry.time_ns ? t("data_age", { age: age((nowNs - entry.time_ns) / 1e6, t) }) : t("never_seen");
    $("age").classList.toggle("old", old);
  }
}

function table(heading, rows) {
  const made = element("table");
  made.append(...rows);
  return rows.length ? [element("h2", "", heading), made] : [];
}

function subject(text) {
  const [of, key] = text.split("/");
  return FACTS[of] ? link(of, key, "", text) : element("span", "", text);
}

function drawStory(entry) {
  const steps = [
    ...entry.members.map((member) => [member.since_ns, subject(member.subject), `${member.rule} ${t(member.severity)}`]),
    ...entry.members.filter((member) => member.resolved_ns).map((member) => [member.resolved_ns, subject(member.subject), `${member.rule} ${t("resolved")}`]),
    ...entry.remarks.map((remark) => [remark.at_ns, element("span", "", remark.who), `${remark.kind === "acknowledge" ? t("acknowledged") : ""} ${remark.text}`]),
  ].sort((one, other) => one[0] - other[0]).map(([at, who, what]) => {
    const made = row(moment(at), "", what);
    made.children[1].append(who);
    return made;
  });
  const evidence = entry.evidence.map((each) => row(moment(each.at_ns), `${each.subject} ${each.field}`, `${each.value ?? "–"} ${each.words?.[lang] || each.reason}`));
  const tenants = entry.tenants.map((tenant) => { const made = element("tr"); const cell = element("td"); cell.append(link("tenant", tenant, "", tenant)); made.append(cell); return made; });
  $("story").replaceChildren(...table(t("timeline"), steps), ...table(t("evidence"), evidence), ...table(t("affected"), tenants));
}

function drawSpans() {
  $("spans").replaceChildren(...SPANS.map((each) => {
    const made = element("a", "", t(`span_${each}`));
    made.href = `?${new URLSearchParams({ span: each, ...(language() ? { lang } : {}) })}`;
    if (each === span) made.setAttribute("aria-current", "true");
    return made;
  }));
}

function drawGraph(graph, from, to) {
  const box = element("div", "graph");
  const heading = graph.which ? `${t("line")} ${graph.which === "total" ? t("total") : graph.which}` : t(`unit_${graph.unit}`);
  $("graphs").append(element("h2", "", heading), box);
  const fields = Object.keys(graph.series).filter((field) => graph.series[field].some((value) => value !== null));
  const [full, short] = FORMS[graph.unit];
  const plain = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZone: "Asia/Tokyo" };
  const ticks = to - from > 172800 ? { month: "numeric", day: "numeric" } : { hour: "2-digit", minute: "2-digit" };
  const ink = getComputedStyle(document.body).color;
  new window.uPlot({
    width: Math.max(200, box.clientWidth - 24), height: 260,
    tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Asia/Tokyo"),
    scales: { x: { range: [from, to] }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, graph.unit === "ratio" ? 1 : 0.001)] } },
    axes: [
      { stroke: ink, grid: { stroke: "#2a333c" }, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleString("ja-JP", { ...ticks, timeZone: "Asia/Tokyo" })) },
      { stroke: ink, size: 70, grid: { stroke: "#2a333c" }, values: (_, splits) => splits.map((value) => short(value)) },
    ],
    series: [
      { label: t("time"), value: (_, at) => (at === null ? "–" : new Date(at * 1000).toLocaleString("ja-JP", plain)) },
      ...fields.map((field, number) => ({ label: t(field), stroke: STROKES[number], width: 2, dash: number ? [8, 4] : [], spanGaps: false, points: { show: graph.time.length < 4 }, value: (_, value) => full(value) })),
    ],
  }, [graph.time, ...fields.map((field) => graph.series[field])], box);
}

async function drawPast() {
  drawSpans();
  const past = await ask(`/api/v1/${kind}/${encodeURIComponent(id)}/history?span=${encodeURIComponent(span)}`);
  $("graphs").replaceChildren();
  for (const graph of past.graphs) drawGraph(graph, past.from, past.to);
  if (!past.graphs.length) $("graphs").append(element("p", "none", t("no_history")));
}

function tell(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text;
}

async function refresh() {
  try {
    const { entry, now_ns: nowNs } = await ask(`/api/v1/${kind}/${encodeURIComponent(id)}`);
    drawFacts(entry, nowNs);
    if (kind === "incident") drawStory(entry);
    tell("");
  } catch (error) {
    if (kind === "incident" && error.message === "404") { $("name").textContent = id; tell(t("incident_over")); } else tell(t("lost"));
  }
}

document.documentElement.lang = lang;
$("back").href = language() ? `/?lang=${lang}` : "/";
for (const place of document.querySelectorAll("[data-text]")) place.textContent = t(place.dataset.text);
await refresh();
setInterval(refresh, 5000);
if (kind !== "incident") drawPast().catch(() => $("graphs").append(element("p", "none", t("no_history"))));
