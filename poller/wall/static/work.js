// A page for work: one thing of the network or one incident, with its last readings and its past.
import { $, address, ask, change, colour, element, link, open, row, table } from "/static/page.js";
import { SIGNS, age, duration, moment, percent, rate, response, shortRate, volume } from "/static/words.js";

const [, kind, id] = location.pathname.split("/").map(decodeURIComponent);
const span = new URLSearchParams(location.search).get("span") ?? "6h";
const { lang, t, me } = await open();
const SPANS = ["1h", "6h", "1d", "7d", "31d", "13mo"];
const named = (name) => (typeof name === "object" && name !== null ? name[lang] : name);
let lines = {}; // of a tenant, their names
const lineName = (line) => (line === null || line === "total" ? t("total") : named(lines[line] ?? line));
const LINKED = new Set(["device", "circuit", "line_group", "tenant", "service"]);

// Which readings a page tells, and how: key, word, form.
const FLOW = [["in", "in", rate], ["out", "out", rate], ["committed", "committed", rate], ["ceiling", "ceiling", rate],
  ["in_committed_ratio", "in_committed", percent], ["out_committed_ratio", "out_committed", percent]];
const FACTS = {
  device: [["id", "id"], ["role", "role", (role) => t(`role_${role}`)], ["site_name", "site", named], ["up", "state", (up) => t(up ? "up" : "no_answer")],
    ["reason", "reason"], ["ha_role", "ha_role", (role) => t(role)], ["cpu", "cpu", percent], ["memory", "memory_ratio", percent],
    ["sessions", "session_count", (count) => count.toLocaleString()], ["sessions_ratio", "sessions_ratio", percent],
    ["round_trip_delay_seconds", "round_trip_delay", (seconds) => response(seconds, t)], ["round_trip_loss_ratio", "round_trip_loss", percent]],
  circuit: [["id", "id"], ["kind", "kind", (of) => t(`circuit_${of}`)], ["state", "state", (state) => t(state ?? "unknown")], ["reason", "reason", named],
    ["fault", "fault", (fault) => t(`fault_${fault}`)], ["active", "duty", (active) => t(active ? "active" : "standby")], ...FLOW],
  line_group: [["id", "id"], ...FLOW],
  service: [["id", "id"], ["kind", "kind", (of) => of.toUpperCase()], ["up", "state", (up) => t(up ? "up" : "down")], ["text", "reason", named],
    ["response_seconds", "response", (seconds) => response(seconds, t)], ["limit", "limit", (seconds) => response(seconds, t)],
    ["certificate_days", "certificate", (days) => `${Math.floor(days)}${t("day").trim()}`]],
  tenant: [["id", "id"], ["in", "in", rate], ["out", "out", rate], ["month_octets", "month_volume", volume]],
  incident: [["id", "id"], ["severity", "severity", (word) => `${SIGNS[word]} ${t(`severity_${word}`)}`], ["since_ns", "began", (ns) => moment(ns, lang)],
    ["scope", "scope", t], ["acknowledged_by", "acknowledged", (who) => who]],
};
const FORMS = { "bits/s": [rate, shortRate], ratio: [(value) => percent(value, 1), percent], seconds: [(value) => response(value, t), (value) => response(value, t)] };

function drawFacts(entry, nowNs, endedNs) {
  const title = named(entry.name ?? entry.title);
  $("name").textContent = title;
  document.title = `${title} - ${t("brand")}`;
  const told = (value) => value !== null && value !== undefined && value !== "" && named(value) !== null;
  const facts = FACTS[kind].filter(([key]) => told(entry[key]))
    .map(([key, word, form]) => row(t(word), form ? form(entry[key]) : String(entry[key])));
  if (kind === "incident") facts.push(...(endedNs ? [row(t("ended"), moment(endedNs, lang))] : []), row(t("lasted"), duration(((endedNs ?? nowNs) - entry.since_ns) / 1e6, t)));
  $("facts").replaceChildren(...facts);
  if (entry.interval) {
    const old = nowNs - entry.time_ns > (2 * entry.interval + 5) * 1e9;
    $("age").textContent = entry.time_ns ? t("data_age", { age: age((nowNs - entry.time_ns) / 1e6, t).trim() }) : t("never_seen");
    $("age").classList.toggle("old", old);
  }
}

// What is beside the facts: of a tenant its caps, of a circuit what was found, and what hangs together with it.
function drawMore(entry, related) {
  const parts = [];
  if (entry.caps?.length) parts.push(element("h2", "", t("caps")), table([t("line"), t("kind"), t("direction"), [t("used"), "number"], [t("cap"), "number"], [t("ratio"), "number"]], entry.caps.map(capCells)));
  if (entry.not_delivered?.length) parts.push(element("h2", "", t("not_delivered")), ...entry.not_delivered.map((each) => element("p", "", named(each.sentence))));
  if (entry.switch_overs?.length) parts.push(element("h2", "", t("switch_overs")), table([t("time"), t("before"), t("after")],
    [...entry.switch_overs].reverse().slice(0, 5).map((each) => [moment(each.at_ns, lang), member(each.before), member(each.after)])));
  for (const of of ["circuit", "line_group", "device", "tenant"]) {
    const links = related.filter((each) => each.kind === of).flatMap((each) => [link(of, each.id, "", named(each.name)), element("span", "", "　")]);
    if (links.length) { const line = element("p", "related"); line.append(element("span", "soft", `${t(`kind_${of}`)}　`), ...links); parts.push(line); }
  }
  $("more").replaceChildren(...parts);
}

const member = (circuit) => (circuit ? link("circuit", circuit, "", circuit) : "–");

function capCells(cap) {
  const said = cap.kind === "monthly_volume" ? volume : rate;
  const level = cap.exceeded ? "serious" : (cap.kind === "monthly_volume" ? cap.projected > cap.limit : cap.ratio >= 0.8) ? "minor" : "";
  const projected = cap.projected ? `（${t("projected")} ${volume(cap.projected)}）` : "";
  return [lineName(cap.line), t(`cap_${cap.kind}`), cap.direction === "each" ? "↓↑" : cap.direction === "in" ? "↓" : "↑",
    [`${said(cap.value)}${projected}`, "number"], [said(cap.limit), "number"], [`${level ? `${SIGNS[level]} ` : ""}${percent(cap.ratio, 1)}`, `number ${level}`]];
}

function subject(text, words) {
  const [of, key] = text.split("/");
  const name = words?.subjects[text] ? named(words.subjects[text]) : text;
  return LINKED.has(of) ? link(of, key, "", name) : element("span", "", name);
}

function drawStory(entry, words, timeline) {
  const lines = timeline ?? [
    ...entry.members.map((member, place) => ({ at_ns: member.since_ns, subject: member.subject, text: `${words ? named(words.members[place]) : member.rule}　${t(`severity_${member.severity}`)}` })),
    ...entry.members.filter((member) => member.resolved_ns).map((member) => ({ at_ns: member.resolved_ns, subject: member.subject, text: t("resolved") })),
    ...entry.remarks.map((remark) => ({ at_ns: remark.at_ns, subject: "", text: `${remark.kind === "acknowledge" ? t("acknowledged") : ""} ${remark.who} ${remark.text}` })),
  ].sort((one, other) => one.at_ns - other.at_ns);
  const steps = lines.map((line) => [moment(line.at_ns, lang), line.subject ? subject(line.subject, words) : t(`line_${line.kind ?? "remark"}`), named(line.text)]);
  const evidence = entry.evidence.map((each, place) => [moment(each.at_ns, lang), subject(each.subject, words),
    words ? named(words.evidence[place]) : `${each.field} ${each.value ?? "–"} ${each.words?.[lang] || each.reason}`]);
  const parts = [];
  if (entry.tenants.length) {
    const line = element("p", "related");
    line.append(...entry.tenants.flatMap((tenant) => [subject(`tenant/${tenant}`, words), element("span", "", "　")]));
    parts.push(element("h2", "", `${t("affected")}　${entry.tenants.length}`), line);
  }
  if (evidence.length) parts.push(element("h2", "", t("evidence")), table([t("time"), t("subject"), t("reading")], evidence));
  parts.push(element("h2", "", t("timeline")), table([t("time"), t("subject"), t("what")], steps));
  $("story").replaceChildren(...parts);
}

function offerActions(entry) {
  $("act").hidden = false;
  $("acknowledge").hidden = Boolean(entry.acknowledged_by);
  for (const place of [$("person"), document.querySelector("label[for=person]")]) place.hidden = me.login;
}

async function act(action) {
  $("answer").className = "";
  $("answer").textContent = "";
  const [text, who] = [$("text").value.trim(), $("person").value.trim()];
  if (!me.login && !who) { $("answer").className = "serious"; $("answer").textContent = t("name_needed"); $("person").focus(); return; }
  if (action === "comment" && !text) { $("answer").className = "serious"; $("answer").textContent = t("text_needed"); $("text").focus(); return; }
  try {
    await change(`/api/v1/incident/${encodeURIComponent(id)}/${action}`, { text, ...(me.login ? {} : { who }) }, me.token);
    $("text").value = "";
    $("answer").textContent = t(`done_${action}`);
    await refresh();
  } catch (error) {
    $("answer").className = "serious";
    $("answer").textContent = `${t("not_done")} ${error.message}`;
  }
}

function drawSpans() {
  $("spans").setAttribute("aria-label", t("period"));
  $("spans").replaceChildren(...SPANS.map((each) => {
    const made = element("a", "", t(`span_${each}`));
    made.href = address(location.pathname, { span: each });
    if (each === span) made.setAttribute("aria-current", "true");
    return made;
  }));
}

function drawGraph(graph, from, to) {
  const box = element("div", "graph");
  const heading = graph.which ? lineName(graph.which) : t(kind === "service" ? "response" : `unit_${graph.unit}`);
  $("graphs").append(element("h2", "", heading), box);
  const fields = Object.keys(graph.series).filter((field) => graph.series[field].some((value) => value !== null));
  const [full, short] = FORMS[graph.unit];
  const [ink, edge, strokes] = [colour("ink"), colour("edge"), [colour("in"), colour("out"), colour("third")]];
  const tick = to - from > 172800 ? { month: "numeric", day: "numeric" } : { hour: "2-digit", minute: "2-digit" };
  const days = to - from > 172800 ? { incrs: [1, 2, 5, 7, 14, 31, 62].map((count) => count * 86400) } : {};
  const font = `13px ${getComputedStyle(document.body).fontFamily}`;
  new window.uPlot({
    width: Math.max(200, box.clientWidth), height: 260,
    tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Asia/Tokyo"),
    scales: { x: { range: [from, to] }, y: { range: (_, low, high) => [0, Math.max(high * 1.1, graph.unit === "ratio" ? 1 : 0.001)] } },
    axes: [
      { stroke: ink, font, space: 60, grid: { stroke: edge, width: 1 }, ...days, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleString("ja-JP", { ...tick, timeZone: "Asia/Tokyo" })) },
      { stroke: ink, font, size: 70, grid: { stroke: edge, width: 1 }, values: (_, splits) => splits.map((value) => short(value)) },
    ],
    series: [
      { label: t("time"), value: (_, at) => (at === null ? "–" : moment(at * 1e9, lang)) },
      ...fields.map((field, number) => ({ label: t(field), stroke: strokes[number], width: 2, dash: [[], [8, 4], [2, 4]][number], spanGaps: false, points: { show: graph.time.length < 4 }, value: (_, value) => full(value) })),
    ],
  }, [graph.time, ...fields.map((field) => graph.series[field])], box);
}

function drawPast(past) {
  $("graphs").replaceChildren();
  for (const graph of past.graphs) drawGraph(graph, past.from, past.to);
  if (!past.graphs.length) $("graphs").append(element("p", "none", t("no_history")));
}

async function showPast() {
  drawSpans();
  const past = await ask(`/api/v1/${kind}/${encodeURIComponent(id)}/history?span=${encodeURIComponent(span)}`);
  drawPast(past);
  for (const medium of ["print", "(max-width: 700px)"]) matchMedia(medium).addEventListener("change", () => drawPast(past)); // in the colours and the width of the paper
}

function tell(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text;
}

const may = (...roles) => roles.includes(me.role);

async function refreshIncident() {
  const path = `/api/v1/incident/${encodeURIComponent(id)}`;
  const story = may("viewer", "noc", "administrator") ? await ask(`${path}/story`).catch(() => null) : null;
  const live = story?.ended_ns ? null : await ask(path).catch((error) => { if (error.message !== "404") throw error; return null; });
  if (!live && !story) { $("name").textContent = id; $("act").hidden = true; tell(t("incident_over")); return; }
  const entry = live?.entry ?? story.entry;
  drawFacts(entry, (live ?? story).now_ns, live ? null : story.ended_ns);
  drawStory(entry, live?.words && story ? { ...live.words, subjects: { ...story.words.subjects, ...live.words.subjects } } : live?.words ?? story?.words, story?.timeline);
  if (live && may("noc", "administrator")) offerActions(entry); else $("act").hidden = true;
  if (!live) $("age").textContent = t("is_over");
  tell("");
}

async function refreshThing() {
  const { entry, now_ns: nowNs, related, lines: names } = await ask(`/api/v1/${kind}/${encodeURIComponent(id)}`);
  lines = names ?? {};
  drawFacts(entry, nowNs);
  drawMore(entry, related ?? []);
  tell("");
}

const refresh = () => (kind === "incident" ? refreshIncident() : refreshThing()).catch(() => tell(t("lost")));

for (const action of ["acknowledge", "comment"]) $(action).addEventListener("click", () => act(action));
await refresh();
setInterval(refresh, 5000);
if (kind !== "incident") showPast().catch(() => $("graphs").append(element("p", "none", t("no_history"))));
