// What every page is made with. Text is set as text, never as markup.
export function element(tag, classes, text) {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text !== undefined && text !== null) made.textContent = text;
  return made;
}

// A link to the page for work of one thing, in the language of this page.
export function link(kind, id, classes, text) {
  const made = element("a", classes, text);
  made.href = `/${kind}/${encodeURIComponent(id)}${language() ? `?lang=${language()}` : ""}`;
  return made;
}

export const language = () => new URLSearchParams(location.search).get("lang");

export async function words(lang) {
  return (await fetch(`/static/messages.${lang === "en" ? "en" : "ja"}.json`)).json();
}
