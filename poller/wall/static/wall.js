// The wall: draws what the stream says, and says how old it is. All text from the network is set as text, never as markup.
import { rate, shortRate, percent, age, duration, response, SIGNS, fill } from "/static/words.js";
import { address, colour, dress, element, language, link } from "/static/page.js";

const state = { sections: {}, words: {}, lang: "ja", skew: 0, lastMessage: 0, chart: null };
const $ = (id) => document.getElementById(id);
const now = () => Date.now() + state.skew;
const t = (key, values) => fill(state.words[key] ?? key, values);

function replace(parent, children) { parent.replaceChildren(...children); }
const name = (entry) => entry.name[state.lang];
const isOld = (entry) => now() - entry.time_ns / 1e6 > (2 * entry.interval + 5) * 1000;
const ageOf = (entry) => (entry.time_ns ? t("stale", { age: age(now() - entry.time_ns / 1e6, t) }) : t("never_seen"));
const level = (ratio) => (ratio >= 1 ? "serious" : ratio >= 0.8 ? "minor" : "normal");

function drawHead(whole) {
  const box = $("whole");
  box.className = `whole ${whole.word}`;
  box.querySelector(".sign").textContent = SIGNS[whole.word];
  box.querySelector(".word").textContent = t(whole.word);
  const reason = whole.reason;
  box.querySelector(".reason").textContent = reason ? reason[state.lang] ?? reason : whole.word === "normal" ? t("nothing_open") : "";
  const ratio = whole.asked ? percent(whole.answering / whole.asked, 1) : "–";
  replace($("figures"), [
    element("span", "", t("watching", { asked: whole.asked })), element("span", "", t("answering", { ratio })),
    ...["serious", "minor", "notice"].map((word) =>
      element("span", whole[word] ? word : "", `${SIGNS[word]} ${t(`${word}_count`, { count: whole[word] })}`)),
    pageLink("notifications", t("notifications", { count: state.sections.notifications_per_minute ?? "–" })), pageLink("service-level", t("page_service-level")),
    pageLink("search", t("page_search")), ownHealth(),
  ]);
}

function pageLink(page, text) {
  const made = element("a", "", text);
  made.href = address(`/${page}`);
  return made;
}

// The daemon's own health in one phrase: what is not well, else how late its polls begin.
function ownHealth() {
  const parts = Object.values(state.sections.daemon ?? {});
  const sum = (field) => parts.reduce((total, part) => total + (part[field] ?? 0), 0);
  const most = (field) => Math.max(0, ...parts.map((part) => part[field] ?? 0));
  const newest = Math.max(0, ...parts.map((part) => part.time_ns)) / 1e6;
  if (!newest || now() - newest > 185000) return element("span", "own unknown", `${SIGNS.unknown} ${t("own_unknown")}`);
  const drops = sum("drops_total");
  const behind = most("lag_seconds") > 5 || most("stall_seconds") > 1;
  const word = drops ? t("own_drops", { count: drops }) : behind ? t("own_late") : t("own_well");
  const look = drops || behind ? "minor" : "";
  return element("span", `own ${look}`, `${SIGNS[look || "normal"]} ${word} ${t("own_lag", { lag: response(most("lag_seconds"), t), queue: most("queue_depth") })}`);
}

function mainGroup() {
  const groups = state.sections.line_groups ?? [];
  return groups.reduce((best, group) => (best === null || group.ceiling > best.ceiling ? group : best), null);
}

function drawLines() {
  const group = mainGroup();
  if (!group) return;
  $("lines-title").textContent = `${name(group)}　${t("last_hours")}`;
  $("lines").classList.toggle("old", isOld(group));
  const parts = (state.sections.line_groups ?? []).filter((other) => group.members.includes(other.id));
  const children = ["in", "out"].map((way) => {
    const box = element("span", "");
    box.append(element("span", "", `${t(way)} `), element("span", `rate ${way}`, rate(group[way])));
    return box;
  });
  for (const part of parts) {
    const committed = part.committed ? `　${t("committed")} ${shortRate(part.committed)} ${percent(part.in_committed_ratio)}` : "";
    children.push(element("span", isOld(part) ? "parts old" : "parts", `${name(part)}　↓ ${shortRate(part.in)}　↑ ${shortRate(part.out)}${committed}`));
  }
  if (isOld(group)) children.push(element("span", "parts", ageOf(group)));
  replace($("lines-now"), children);
}

function limitLines(group) {
  const lines = [[group.ceiling, t("ceiling")]];
  const committed = (state.sections.line_groups ?? []).filter((other) => group.members.includes(other.id)).map((other) => other.committed);
  const each = committed.length > 1 && committed.every((value) => value && value === committed[0]) ? committed[0] : null;
  if (each) lines.push([each, t("committed_each")]);
  else if (group.committed === group.ceiling) lines[0][1] = `${t("committed")}${t("comma")}${t("ceiling")}`;
  else if (group.committed) lines.push([group.committed, t("committed")]);
  return lines;
}

// Four or five round steps for an axis from 0 to top.
function steps(top) {
  const size = [1, 2, 5, 10].map((factor) => factor * 10 ** Math.floor(Math.log10(top / 5))).find((step) => top / step <= 5);
  return Array.from({ length: Math.floor(top / size) + 1 }, (_, index) => index * size);
}

function drawChart() {
  const group = mainGroup();
  const history = group && state.sections.history?.[group.id];
  if (!history || !window.uPlot) return;
  const box = $("chart");
  if (box.clientHeight < 40) return;
  const scale = parseFloat(getComputedStyle(document.documentElement).fontSize) / 10;
  const limits = limitLines(group);
  const [soft, edge, into, out] = ["soft", "edge", "in", "out"].map(colour);
  const font = `${20 * scale}px sans-serif`;
  const data = [history.time, history.in, history.out];
  if (state.chart?.box === `${box.clientWidth}x${box.clientHeight}` && Math.max(...data[1], ...data[2]) <= state.chart.top) { state.chart.plot.setData(data); return; }
  state.chart?.plot.destroy();
  const mark = (plot) => {
    const { ctx } = plot;
    ctx.save();
    ctx.font = `${20 * scale * devicePixelRatio}px sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    for (const [value, label] of limits) {
      const y = plot.valToPos(value, "y", true);
      ctx.strokeStyle = ctx.fillStyle = soft;
      ctx.setLineDash([12 * scale, 8 * scale]);
      ctx.beginPath(); ctx.moveTo(plot.bbox.left, y); ctx.lineTo(plot.bbox.left + plot.bbox.width, y); ctx.stroke();
      ctx.fillText(`${label} ${shortRate(value)}`, plot.bbox.left + 12 * scale, y - 6 * scale);
    }
    ctx.restore();
  };
  const top = Math.max(group.ceiling * 1.12, ...data[1], ...data[2]);
  const options = {
    width: box.clientWidth, height: box.clientHeight, cursor: { show: false }, legend: { show: false },
    hooks: { draw: [mark] }, padding: [16 * scale, 30 * scale, 0, 0],
    scales: { x: { time: true, range: () => [now() / 1000 - 21600, now() / 1000] }, y: { range: [0, top] } },
    axes: [
      { stroke: soft, font, size: 36 * scale, space: 80 * scale, grid: { stroke: edge, width: 2 * scale }, values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString("ja-JP", { hour: "2-digit", minute: "2-digit", timeZone: "Asia/Tokyo" })) },
      { stroke: soft, font, size: 64 * scale, space: 30 * scale, grid: { stroke: edge, width: 2 * scale }, splits: () => steps(top), values: (_, ticks) => ticks.map((tick) => (tick ? shortRate(tick) : "0")) },
    ],
    series: [{}, { stroke: into, width: 3 * scale, fill: `${into}28`, points: { show: false }, spanGaps: false }, { stroke: out, width: 3 * scale, dash: [9 * scale, 5 * scale], points: { show: false }, spanGaps: false }],
  };
  state.chart = { box: `${box.clientWidth}x${box.clientHeight}`, top, plot: new window.uPlot(options, data, box) };
}

function tenantTile(tenant) {
  const old = isOld(tenant);
  const tile = link("tenant", tenant.id, old ? "tenant old" : "tenant");
  const [ratio, look] = [tenant.cap_ratio, tenant.cap_level ?? ""];
  const bar = element("span", `bar ${look}`);
  const fillBar = element("i");
  fillBar.style.width = `${Math.min(100, (ratio ?? 0) * 100)}%`;
  bar.append(fillBar);
  const way = { in: "↓", out: "↑" }[tenant.cap_direction] ?? "";
  const kind = ["monthly_volume", "percentile_95"].includes(tenant.cap_kind) ? t(`short_${tenant.cap_kind}`) : "";
  let figure = ratio === null ? rate(tenant.in) : `${percent(ratio)} ${kind}${way}`;
  if (look && look !== "normal") figure = `${SIGNS[look]} ${figure}`;
  if (old) figure = tenant.time_ns ? age(now() - tenant.time_ns / 1e6, t) : t("never_seen");
  tile.append(element("span", "name", name(tenant)), element("span", `figure ${old ? "" : look}`, figure), bar);
  tile.title = `${name(tenant)} ${t("in")} ${rate(tenant.in)} ${t("out")} ${rate(tenant.out)}`;
  return tile;
}

function incidentTile(incident) {
  const tile = link("incident", incident.id, `incident ${incident.severity}`);
  const lasted = Math.max(0, now() - incident.since_ns / 1e6);
  const who = incident.acknowledged_by ? t("acknowledged_by", { who: incident.acknowledged_by }) : t("not_acknowledged");
  tile.append(
    element("div", "title", `${SIGNS[incident.severity]} ${incident.title[state.lang] ?? incident.title}`),
    element("div", "more", [duration(lasted, t).trim(), incident.scope ? t(incident.scope) : "", who].filter(Boolean).join(t("comma"))),
  );
  return tile;
}

function circuitWord(circuit) {
  if (isOld(circuit)) return "state_unknown";
  if (circuit.state !== "up") return circuit.state ?? "state_unknown";
  return (circuit.active ?? circuit.preferred === "active") ? "active" : "standby";
}

// Of many circuits those that are not well, then the largest, and how many are well; nothing that is well moves about.
const CIRCUIT_TILES = 12;
function drawCircuits() {
  const circuits = state.sections.circuits ?? [];
  const tiles = circuits.map(circuitTile);
  if (circuits.length > CIRCUIT_TILES) {
    const well = circuits.filter((circuit) => ["active", "standby"].includes(circuitWord(circuit)));
    const ill = circuits.filter((circuit) => !well.includes(circuit));
    const largest = [...well].sort((one, other) => other.ceiling - one.ceiling);
    const shown = [...ill, ...largest].slice(0, CIRCUIT_TILES - 1);
    const count = element("div", "circuit count");
    const all = well.length === circuits.length;
    count.append(element("span", all ? "normal" : "unknown", SIGNS.normal), element("span", "name", t("circuits_well", { well: well.length, count: circuits.length })),
      element("span", "rates", ill.length > shown.length ? t("more", { count: ill.length - shown.length }) : ""));
    tiles.splice(0, tiles.length, ...shown.map(circuitTile), count);
  }
  replace($("circuit-row"), tiles);
}

function circuitTile(circuit) {
  const old = isOld(circuit);
  const tile = link("circuit", circuit.id, old ? "circuit old" : "circuit");
  if (circuit.reason) tile.title = circuit.reason[state.lang];
  const word = circuitWord(circuit);
  const look = { active: "normal", standby: "normal", degraded: "minor", down: "serious" }[word] ?? "unknown";
  const sign = { active: "●", standby: "○", degraded: "▲", down: "✕" }[word] ?? "？";
  const rates = element("div", "rates");
  const base = circuit.committed ?? circuit.ceiling;
  if (old) rates.append(element("span", "", ageOf(circuit)));
  else if (word === "down" && circuit.reason) rates.append(element("span", "why", circuit.reason[state.lang])); // not what flowed before
  else rates.append(
    element("span", "", `↓ ${shortRate(circuit.in)}　↑ ${shortRate(circuit.out)}`),
    element("span", "", `${t(circuit.committed ? "committed" : "ceiling")} ${shortRate(base)}`));
  tile.append(element("span", `sign ${look}`, sign), element("span", "name", name(circuit)), element("span", look, t(word)), rates);
  return tile;
}

// A device is called by its id here: short, and the same word as in mails, rules and on the label of the box.
function deviceChip(device) {
  const old = isOld(device);
  const down = device.up === false;
  const unknown = old || typeof device.up !== "boolean";
  const standby = device.ha_role === "standby";
  const look = unknown ? "unknown" : down ? "serious" : "normal";
  const chip = link("device", device.id, old ? "device old" : "device");
  chip.title = [name(device), device.reason].filter(Boolean).join(" ");
  chip.append(element("span", `sign ${look}`, unknown ? "？" : down ? "✕" : standby ? "○" : "●"), element("span", "", device.id));
  if (unknown && !old) chip.append(element("span", "values", device.reason ?? t("unknown")));
  else if (old || down) chip.append(element("span", old ? "values" : "values serious", old ? ageOf(device) : t("no_answer")));
  else {
    const ratios = [["cpu", device.cpu], ["memory", device.memory], ["sessions", device.sessions_ratio]].filter(([, ratio]) => typeof ratio === "number");
    if (ratios.length) chip.append(meters(ratios));
    // In figures the highest that is too high, else the CPU.
    const [word, ratio] = ratios.filter(([, each]) => each >= 0.8).sort((one, other) => other[1] - one[1])[0] ?? ratios[0] ?? [];
    if (word) chip.append(element("span", `values ${level(ratio) === "normal" ? "" : level(ratio)}`, `${level(ratio) === "normal" ? "" : SIGNS[level(ratio)]}${t(word)} ${percent(ratio)}`));
  }
  return chip;
}

function meters(ratios) {
  const box = element("span", "meters");
  for (const [word, ratio] of ratios) {
    const fill = element("i");
    fill.style.height = `${Math.max(4, Math.min(100, ratio * 100))}%`;
    const meter = element("span", level(ratio));
    meter.title = `${t(word)} ${percent(ratio)}`;
    meter.append(fill);
    box.append(meter);
  }
  return box;
}

function serviceChip(service) {
  const old = isOld(service) || service.up === null;
  const down = service.up === false;
  const slow = service.limit && service.response_seconds > service.limit;
  const look = old ? "unknown" : down ? "serious" : slow ? "minor" : "normal";
  const chip = link("service", service.id, old ? "device old" : "device");
  chip.append(element("span", `sign ${look}`, old ? "？" : down ? "✕" : slow ? SIGNS.minor : "●"), element("span", "", service.id),
    element("span", down && !old ? "values serious" : "values", isOld(service) ? ageOf(service) : old ? t("unknown") : down ? t("down") : response(service.response_seconds, t)));
  chip.title = [name(service), service.text?.[state.lang]].filter(Boolean).join(" ");
  return chip;
}

// One row of chips under one heading; of many alike only those that are not well are drawn, and the rest counted.
function chipRow(heading, entries, chip, most = 8) {
  const box = element("div", "role");
  const calm = entries.filter((entry) => !isOld(entry) && entry.up === true);
  const crowd = entries.length > most;
  const shown = crowd ? entries.filter((entry) => !calm.includes(entry)) : entries;
  box.append(element("span", "heading", heading));
  if (crowd) box.append(element("span", calm.length === entries.length ? "normal" : "unknown", `● ${calm.length}/${entries.length}`));
  box.append(...shown.slice(0, most).map(chip));
  if (shown.length > most) box.append(element("span", "values", t("more", { count: shown.length - most })));
  return box;
}

function drawDevices() {
  const rows = new Map();
  for (const device of state.sections.devices ?? []) rows.set(device.role, [...(rows.get(device.role) ?? []), device]);
  const byCrowd = [...rows].sort(([, one], [, other]) => (other.length > 8) - (one.length > 8));
  const boxes = byCrowd.map(([role, devices]) => chipRow(t(`role_${role}`), devices, deviceChip));
  const services = (state.sections.services ?? []).filter((service) => service.time_ns);
  if (services.length) boxes.push(chipRow(t("services"), services, serviceChip, 20));
  replace($("device-grid"), boxes);
}

const DRAW = {
  line_groups: drawLines, history: drawChart,
  tenants: () => {
    const tenants = state.sections.tenants ?? [];
    $("tenant-grid").style.setProperty("--columns", Math.max(3, Math.ceil(tenants.length / 12)));
    replace($("tenant-grid"), tenants.map(tenantTile));
  },
  incidents: () => {
    const open = state.sections.incidents ?? [];
    replace($("incident-list"), open.length ? open.map(incidentTile) : [element("div", "more", t("nothing_open"))]);
  },
  circuits: drawCircuits,
  devices: drawDevices, services: drawDevices,
};

function drawClock() {
  const moment = new Date(now());
  const parts = Object.fromEntries(new Intl.DateTimeFormat("ja-JP-u-ca-gregory", { timeZone: "Asia/Tokyo", year: "numeric", month: "numeric", day: "numeric", weekday: "short" }).formatToParts(moment).map(({ type, value }) => [type, value]));
  $("date").textContent = state.lang === "ja" ? `${parts.year}年${parts.month}月${parts.day}日(${parts.weekday})` : moment.toLocaleDateString("en-GB", { timeZone: "Asia/Tokyo", weekday: "short", year: "numeric", month: "long", day: "numeric" });
  $("time").textContent = moment.toLocaleTimeString("ja-JP", { timeZone: "Asia/Tokyo", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  const newest = state.newest ? now() - state.newest / 1e6 : null;
  $("age").textContent = newest === null ? t("no_data") : t("data_age", { age: age(newest, t) });
  $("age").classList.toggle("old", newest === null || newest > 125000);
  const lost = state.lastMessage !== 0 && Date.now() - state.lastMessage > 5000;
  $("lost").hidden = !lost;
  if (lost) $("lost-since").textContent = t("lost_since", { time: new Date(state.lastMessage + state.skew).toLocaleTimeString("ja-JP", { timeZone: "Asia/Tokyo", hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false }) });
}

async function learnWords(lang) {
  state.lang = language(lang);
  state.words = await (await fetch(`/static/messages.${state.lang}.json`)).json();
  document.documentElement.lang = state.lang;
  document.title = t("brand");
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = t(place.dataset.text);
}

// The stream sends the entries that changed; their order is the first snapshot's, so that nothing moves on the wall.
const ENTRIES = new Set(["devices", "circuits", "line_groups", "tenants", "services"]);
function merged(known, changed) {
  const entries = new Map((known ?? []).map((entry) => [entry.id, entry]));
  for (const entry of changed) entries.set(entry.id, entry);
  return [...entries.values()];
}

async function take(snapshot) {
  state.skew = snapshot.now_ns / 1e6 - Date.now();
  state.lastMessage = Date.now();
  state.newest = snapshot.newest_ns;
  if (snapshot.lang) await learnWords(snapshot.lang);
  if (snapshot.organisation) $("organisation").textContent = snapshot.organisation[state.lang];
  if (snapshot.organisation) state.sections = {}; // a new stream tells everything: the configuration may be another
  for (const [section, value] of Object.entries(snapshot)) state.sections[section] = ENTRIES.has(section) ? merged(state.sections[section], value) : value;
  drawHead(snapshot.whole);
  drawClock();
  for (const [section, draw] of Object.entries(DRAW)) if (snapshot[section]) draw();
}

// A login that is over leads to the door; a daemon that is gone does not, it comes back.
async function askForLogin() {
  const answer = await fetch("/api/v1/me").catch(() => null);
  if (answer?.status === 401) location.assign(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
}

function connect() {
  const stream = new EventSource("/api/v1/stream");
  stream.onmessage = (message) => take(JSON.parse(message.data));
  stream.onerror = () => { stream.close(); setTimeout(connect, 1000); askForLogin(); };
}

// Where asked (?rotate=30&pages=/service-level,/circuit/int-1), the panels and those pages take turns. The head, the figures
// and the cry that the daemon is lost stay; a serious incident that nobody took holds the wall.
function rotate(seconds, pages) {
  let at = 0;
  setInterval(() => {
    const held = (state.sections.incidents ?? []).some((incident) => incident.severity === "serious" && !incident.acknowledged_by);
    at = held ? 0 : (at + 1) % (pages.length + 1);
    $("turn").replaceChildren();
    $("turn").hidden = at === 0;
    if (at === 0) return;
    const frame = element("iframe");
    const scale = (parseFloat(getComputedStyle(document.documentElement).fontSize) / 10) * 1.6;
    frame.style.transform = `scale(${scale})`;
    frame.style.width = frame.style.height = `${100 / scale}%`;
    frame.title = t("turning");
    frame.src = address(pages[at - 1], asked.has("theme") ? {} : { theme: "dark" });
    $("turn").append(frame);
  }, seconds * 1000);
}

const asked = new URLSearchParams(location.search);
dress("dark");
if (Number(asked.get("rotate")) >= 5) rotate(Number(asked.get("rotate")), (asked.get("pages") ?? "/service-level,/notifications").split(",").filter((page) => /^\/[a-z]/.test(page)));

// What grows old between messages is drawn anew every five seconds, so that a silent tile turns grey by itself.
setInterval(drawClock, 1000);
setInterval(() => { for (const draw of Object.values(DRAW)) draw(); }, 5000);
new ResizeObserver(drawChart).observe($("chart"));
state.lastMessage = Date.now();
connect();
