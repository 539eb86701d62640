// What devices told lately. Asked every two seconds; text from the network is set as text, never as markup.
import { $, ask, element, link, open, table } from "/static/page.js";
import { age, moment } from "/static/words.js";

const PERIOD = 2000;
const { lang, t } = await open();
const count = (number) => [number.toLocaleString(), "number"];
const ago = (now, then) => (then ? t("told_ago", { age: age((now - then) / 1e6, t).trim() }) : "–");
const device = (id) => (id === "-" ? t("told_nobody") : link("device", id, "", id));
const heads = (...keys) => keys.map((key) => (key.startsWith("#") ? [t(key.slice(1)), "number"] : t(key)));
const SIGN = { serious: "■ ", minor: "▲ ", notice: "◆ ", clear: "● " };

function showFunnel(state) {
  const { funnel, canary } = state;
  const steps = ["received", "decoded", "accepted", "committed", "summed", "unknown", "informs", "acknowledged"];
  const dropped = Object.entries(funnel.dropped).map(([reason, number]) => `${t(`drop_${reason}`)} ${number.toLocaleString()}`);
  $("funnel").replaceChildren(table([...heads(...steps.map((step) => `#told_${step}`)), t("told_dropped"), t("told_canary")], [[
    ...steps.map((step) => count(funnel[step])), dropped.join(" / ") || "0",
    canary.misses ? [t("told_canary_lost", { count: canary.misses }), "serious"] : ago(state.now_ns, canary.durable_ns)]]));
}

function showLatest(state) {
  $("latest").replaceChildren(state.latest.length ? table(heads("told_when", "told_device", "told_severity", "told_text", "#told_count", "told_source"),
    state.latest.slice(0, 100).map((one) => [moment(one.time_ns, lang), device(one.device), [`${SIGN[one.severity] ?? ""}${t(`told_${one.severity}`)}`, one.severity],
      one.text[lang], count(one.count), `${one.source} v${one.version}`])) : element("p", "none", t("told_none")));
}

function showSources(state) {
  const remark = (one) => [one.storm ? t("told_storming") : "", one.relay ? t("told_relay") : "",
    one.differing ? t("told_differs", { address: one.differs, count: one.differing }) : ""].filter(Boolean).join(" / ");
  $("sources").replaceChildren(table(heads("told_source", "told_device", "told_when", "#told_count", "#told_limited", "#told_failures", "told_remark"),
    state.sources.map((one) => [one.address, device(one.device), ago(state.now_ns, one.last_ns), count(one.count), count(one.limited),
      count(one.authentication_failures), remark(one)])));
}

function showOdd(state) {
  const rows = [
    ...state.refused.map((one) => [one.address, t("told_refused"), count(one.count), t("told_refused_why", one)]),
    ...state.strangers.map((one) => [one.address, t("told_stranger"), count(one.count), one.claims ? t("told_claims", { device: one.claims }) : ""]),
    ...state.gaps.map((one) => [one.oid, t("told_gap"), count(one.count), device(one.device)]),
  ];
  $("odd").replaceChildren(rows.length ? table(heads("told_source", "told_text", "#told_count", "told_remark"), rows) : element("p", "none", t("told_nothing_odd")));
}

async function refresh() {
  try {
    const state = await ask("/api/v1/notifications");
    $("trouble").hidden = true;
    $("name").textContent = state.receiving.length ? t("told_title") : t("told_not_receiving");
    $("age").textContent = state.receiving.join(" ");
    if (!state.receiving.length) return;
    $("storm").hidden = !state.storm;
    $("storm").textContent = state.storm;
    showFunnel(state);
    showLatest(state);
    showSources(state);
    showOdd(state);
  } catch {
    $("trouble").hidden = false;
    $("trouble").textContent = t("told_trouble");
  }
}

document.title = `${t("told_title")} - ${t("brand")}`;
await refresh();
setInterval(refresh, PERIOD);
