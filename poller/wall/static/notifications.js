// What devices told lately. Asked every two seconds; text from the network is set as text, never as markup.
import { element, language, link, words } from "./page.js";
import { age, fill } from "./words.js";

const PERIOD = 2000;
const lang = language() === "en" ? "en" : "ja";
const texts = await words(lang);
const t = (key, values) => fill(texts[key] ?? key, values);
const at = (id) => document.getElementById(id);

function row(...cells) {
  const made = element("tr");
  for (const cell of cells) made.append(cell);
  return made;
}
const cell = (text, classes) => element("td", classes, text);
const head = (...keys) => row(...keys.map((key) => element("th", "", t(key))));

function ago(now, then) {
  return then ? t("told_ago", { age: age((now - then) / 1e6, t) }) : "–";
}

function device(id) {
  const made = element("td");
  made.append(id === "-" ? element("span", "", t("told_nobody")) : link("device", id, "", id));
  return made;
}

function showFunnel(state) {
  const funnel = state.funnel;
  const steps = ["received", "decoded", "accepted", "committed", "summed", "unknown", "informs", "acknowledged"];
  const dropped = Object.entries(funnel.dropped);
  const table = at("funnel");
  table.replaceChildren(
    row(...steps.map((step) => element("th", "number", t(`told_${step}`))), element("th", "", t("told_dropped")),
      element("th", "", t("told_canary"))),
    row(...steps.map((step) => cell(funnel[step].toLocaleString(), "number")),
      cell(dropped.map(([reason, count]) => `${t(`drop_${reason}`)} ${count.toLocaleString()}`).join(" / ") || "0"),
      cell(state.canary.misses ? t("told_canary_lost", { count: state.canary.misses }) : ago(state.now_ns, state.canary.durable_ns),
        state.canary.misses ? "serious" : "")),
  );
}

function showLatest(state) {
  at("latest").replaceChildren(head("told_when", "told_device", "told_severity", "told_text", "told_count", "told_source"),
    ...state.latest.slice(0, 100).map((one) => row(
      cell(new Date(one.time_ns / 1e6).toLocaleString(lang === "en" ? "en-GB" : "ja-JP")), device(one.device),
      cell(t(`told_${one.severity}`), one.severity), cell(one.text[lang]), cell(one.count.toLocaleString(), "number"),
      cell(`${one.source} v${one.version}`))));
}

function showSources(state) {
  at("sources").replaceChildren(
    head("told_source", "told_device", "told_when", "told_count", "told_limited", "told_failures", "told_remark"),
    ...state.sources.map((one) => row(
      cell(one.address), device(one.device), cell(ago(state.now_ns, one.last_ns)), cell(one.count.toLocaleString(), "number"),
      cell(one.limited.toLocaleString(), "number"), cell(one.authentication_failures.toLocaleString(), "number"),
      cell([one.storm ? t("told_storming") : "", one.relay ? t("told_relay") : "",
        one.differing ? t("told_differs", { address: one.differs, count: one.differing }) : ""].filter(Boolean).join(" / ")))));
}

function showOdd(state) {
  at("odd").replaceChildren(
    ...state.refused.map((one) => row(cell(one.address), cell(t("told_refused"), "minor"), cell(one.count.toLocaleString(), "number"),
      cell(t("told_refused_why", one)))),
    ...state.strangers.map((one) => row(cell(one.address), cell(t("told_stranger")), cell(one.count.toLocaleString(), "number"),
      cell(one.claims ? t("told_claims", { device: one.claims }) : ""))),
    ...state.gaps.map((one) => row(cell(one.oid), cell(t("told_gap")), cell(one.count.toLocaleString(), "number"), cell(one.device))));
}

async function refresh() {
  try {
    const state = await (await fetch("/api/v1/notifications")).json();
    at("trouble").hidden = true;
    at("name").textContent = state.receiving.length ? t("told_title") : t("told_not_receiving");
    at("age").textContent = state.receiving.join(" ");
    if (!state.receiving.length) return;
    at("storm").hidden = !state.storm;
    at("storm").textContent = state.storm;
    showFunnel(state);
    showLatest(state);
    showSources(state);
    showOdd(state);
  } catch (error) {
    at("trouble").hidden = false;
    at("trouble").textContent = t("told_trouble");
  }
}

document.documentElement.lang = lang;
document.querySelectorAll("[data-text]").forEach((each) => { each.textContent = t(each.dataset.text); });
for (const part of ["latest", "sources", "odd"]) at(`${part}-title`).textContent = t(`told_${part}`);
await refresh();
setInterval(refresh, PERIOD);
