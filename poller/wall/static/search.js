// Finding things: what is typed is asked for, and stays in the address, so that the link can be mailed.
import { $, address, ask, element, link, open, table } from "/static/page.js";
import { SIGNS, duration, moment } from "/static/words.js";

const WAIT = 150;
const { lang, t, me } = await open();
const named = (name) => (typeof name === "object" && name !== null ? name[lang] : name);
const severity = (word) => [`${SIGNS[word] ?? ""} ${t(`severity_${word}`)}`, word];
let asked = 0;

function list(place, heading, headings, rows) {
  $(place).replaceChildren(...(rows.length ? [element("h2", "", heading), table(headings, rows)] : []));
}

function drawFound(found, text) {
  const more = (one) => (one.kind === "incident" ? t(`severity_${one.more}`) : one.more);
  list("found", t("search_found", { count: found.length }), [t("kind"), t("id"), t("name"), ""],
    found.map((one) => [t(`kind_${one.kind}`), link(one.kind, one.id, "", one.id), named(one.name), more(one)]));
  if (text && !found.length) $("found").replaceChildren(element("p", "none", t("search_nothing", { text })));
}

async function search() {
  const text = $("text").value.trim();
  const number = ++asked;
  const { found } = text ? await ask(`/api/v1/search?${new URLSearchParams({ q: text })}`) : { found: [] };
  if (number !== asked) return;
  history.replaceState(null, "", address("/search", text ? { q: text } : {}));
  drawFound(found, text);
}

async function drawIncidents() {
  const { incidents, now_ns: nowNs } = await ask("/api/v1/wall");
  list("open", t("incidents_open"), [t("severity"), t("id"), t("title"), t("began"), t("lasted"), t("acknowledged")],
    incidents.map((one) => [severity(one.severity), link("incident", one.id, "", one.id), named(one.title), moment(one.since_ns, lang),
      duration((nowNs - one.since_ns) / 1e6, t), one.acknowledged_by ?? t("not_acknowledged")]));
  if (me.role === "wall") return;
  const { closed } = await ask("/api/v1/incidents");
  list("closed", t("incidents_closed"), [t("severity"), t("id"), t("title"), t("began"), t("lasted")],
    closed.map((one) => [severity(one.severity), link("incident", one.id, "", one.id), named(one.title), moment(one.since_ns, lang),
      one.ended_ns ? duration((one.ended_ns - one.since_ns) / 1e6, t) : "–"]));
}

let waiting;
const trouble = () => { $("trouble").hidden = false; $("trouble").textContent = t("lost"); };
document.title = `${t("page_search")} - ${t("brand")}`;
$("question").addEventListener("submit", (event) => event.preventDefault());
$("text").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => search().catch(trouble), WAIT); });
$("text").value = new URLSearchParams(location.search).get("q") ?? "";
await Promise.all([search(), drawIncidents()]).catch(trouble);
