// What every page is made with. Text is set as text, never as markup.
import { fill, spoken } from "/static/words.js";

const query = new URLSearchParams(location.search);
// A page comes in the organisation's language; ?lang= says another.
export const language = (usual = document.documentElement.lang) => spoken(query.get("lang"), usual);
export const $ = (id) => document.getElementById(id);

export function element(tag, classes, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

// An address of ours with the language and the theme of this page.
export function address(path, values = {}) {
  const kept = ["lang", "theme"].filter((key) => query.get(key)).map((key) => [key, query.get(key)]);
  const asked = new URLSearchParams([...Object.entries(values), ...kept]).toString();
  return asked ? `${path}?${asked}` : path;
}

// A link to the page for work of one thing, in the language of this page.
export function link(kind, id, classes, text) {
  const made = element("a", classes, text);
  made.href = address(`/${kind}/${encodeURIComponent(id)}`);
  return made;
}

export function row(word, ...values) {
  const made = element("tr");
  const heading = element("th", "", word);
  heading.scope = "row";
  made.append(heading, ...values.map((value) => { const cell = element("td"); cell.append(value ?? "–"); return cell; }));
  return made;
}

// A table with a heading over each column; cells are texts or elements, [cell, classes] where a cell has a look.
export function table(headings, rows) {
  const made = element("table", "wide-table");
  const top = element("tr");
  for (const heading of headings) {
    const cell = element("th", Array.isArray(heading) ? heading[1] : "", Array.isArray(heading) ? heading[0] : heading);
    cell.scope = "col";
    top.append(cell);
  }
  made.append(element("thead"), element("tbody"));
  made.tHead.append(top);
  made.tBodies[0].append(...rows.map((cells) => {
    const line = element("tr");
    for (const each of cells) {
      const [content, classes] = Array.isArray(each) ? each : [each, ""];
      const cell = element("td", classes);
      cell.append(content ?? "–");
      line.append(cell);
    }
    return line;
  }));
  const box = element("div", "scrolls");
  box.tabIndex = 0;
  box.append(made);
  return box;
}

export async function words(lang) {
  return (await fetch(`/static/messages.${lang === "en" ? "en" : "ja"}.json`)).json();
}

// JSON of ours; a login that is over leads to the door.
export async function ask(path) {
  const answer = await fetch(path);
  if (answer.status === 401) location.assign(`/login?${new URLSearchParams({ next: location.pathname + location.search })}`);
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

// Ask for a change, with the token of this login; the error says why it was refused.
export async function change(path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token ? { "X-Hinomi-Token": token } : {}) };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const content = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(content.error ?? String(answer.status));
  return content;
}

// Dark, or as the reader's desk has it; ?theme=light and ?theme=dark say it.
export function dress(fallback) {
  document.documentElement.dataset.theme = query.get("theme") === "light" || query.get("theme") === "dark" ? query.get("theme") : fallback;
}

if (window.parent !== window) document.documentElement.dataset.framed = ""; // between the turns of a wall

export const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The frame of a page for work: language, words, links to the other pages, who is here. Gives lang, t and me.
export async function open() {
  dress(matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
  const lang = language();
  const [messages, me] = await Promise.all([words(lang), ask("/api/v1/me").catch(() => ({ role: null }))]);
  const t = (key, values) => fill(messages[key] ?? key, values);
  document.documentElement.lang = lang;
  document.title = t("brand");
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = t(place.dataset.text);
  $("back").href = address(me.role === "tenant" ? `/tenant/${encodeURIComponent(me.tenant)}` : "/");
  if (me.role !== "tenant") {
    $("ways").append(...["search", "service-level", "notifications"].map((page) => {
      const made = element("a", "", t(`page_${page}`));
      made.href = address(`/${page}`);
      if (location.pathname === `/${page}`) made.setAttribute("aria-current", "page");
      return made;
    }));
  }
  if (me.login) {
    const button = element("button", "quiet", t("log_out"));
    button.addEventListener("click", async () => { await change("/api/v1/logout", {}, me.token).catch(() => null); location.assign(address("/login")); });
    $("ways").append(element("span", "who", me.name[lang]), button);
  }
  return { lang, t, me };
}
