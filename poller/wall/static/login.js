// The door: asks who it is and leads on to the page that was wanted.
import { fill } from "/static/words.js";
import { dress, language, words } from "/static/page.js";

const lang = language();
const messages = await words(lang);
const t = (key, values) => fill(messages[key] ?? key, values);
const $ = (name) => document.getElementById(name);

// Only a page of this server: "//elsewhere" and "/\elsewhere" would be another's.
function wanted(home) {
  const next = new URLSearchParams(location.search).get("next") ?? "";
  const target = new URL(/^\/(?![/\\])/.test(next) ? next : home, location.origin);
  return target.origin === location.origin ? target.href : home;
}

dress(matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark");
document.documentElement.lang = lang;
document.title = t("brand");
for (const place of document.querySelectorAll("[data-text]")) place.textContent = t(place.dataset.text);

$("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("answer").textContent = "";
  try {
    const answer = await fetch("/api/v1/login", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ user: $("user").value.trim(), password: $("password").value, code: $("code").value }),
    });
    const content = await answer.json();
    if (answer.ok) location.replace(content.role === "tenant" ? content.home : wanted(content.home));
    else $("answer").textContent = answer.status === 429 ? t("login_paused", { seconds: content.seconds }) : answer.status === 401 ? t("login_wrong") : content.error;
  } catch {
    $("answer").textContent = t("lost");
  }
});

// A link in a mail comes without the cookie (SameSite=Strict); from here it is sent, and who is logged in goes on.
const me = await fetch("/api/v1/me");
if (me.ok) {
  const { role, tenant } = await me.json();
  location.replace(role === "tenant" ? `/tenant/${encodeURIComponent(tenant)}` : wanted("/"));
}
