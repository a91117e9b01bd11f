// The conversation as people see it: one article for each thing that was asked.
import { copy, h } from "./dom.js";
import { asCurl, asJson } from "./requests.js";
import { colourOf, highlight, inWords } from "./stage.js";

const VERBS = { ask: "Ask", locate: "Locate", read: "Read" };
const FINISHES = {
  length: "cut at the longest answer allowed",
  repetition: "cut where it began to repeat itself",
  stopped: "stopped",
};

/**
 * The article of an entry; call `update` after each change of it.
 * @param look called with (picture, regions) when these are to be shown.
 * @param lookAtPage called with (entry, page) for a page of a document.
 */
export function article(entry, { look, lookAtPage, say }) {
  const asked = h("p", { class: "asked" }, h("b", {}, VERBS[entry.mode]), ` ${entry.text}`);
  const names = entry.pictures.map((picture) => h("span", { class: "chip" }, picture.name));
  const body = h("div", { class: "answer" }), foot = h("div", { class: "foot" });
  const element = h("article", {}, asked, names.length > 0 && h("p", { class: "names" }, ...names), body, foot);

  function update() {
    const busy = entry.seconds === undefined;
    if (entry.mode === "read") fillPages(body, entry, busy, lookAtPage);
    else body.replaceChildren(entry.answer);
    body.classList.toggle("busy", busy);
    if (busy) return;
    if (entry.error) body.append(h("p", { class: "error" }, entry.error));
    const chips = entry.regions.map((region, number) => chip(region, number, entry, look));
    if (chips.length) body.append(h("p", { class: "regions" }, ...chips));
    foot.replaceChildren(h("small", {}, facts(entry)), entry.error ? "" : copies(entry, say));
  }

  update();
  return { element, update };
}

function chip(region, number, entry, look) {
  const button = h("button", { class: "chip", type: "button" }, inWords(region));
  button.style.setProperty("--colour", colourOf(region.label, entry.regions));
  button.onclick = () => look(entry.picture, entry.regions);
  for (const event of ["mouseenter", "focus"]) {
    button.addEventListener(event, () => {
      look(entry.picture, entry.regions);
      highlight(number);
    });
  }
  for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => highlight(-1));
  return button;
}

function fillPages(body, entry, busy, lookAtPage) {
  const { pages, numPages } = entry;
  const words = numPages ? `${pages.length} of ${numPages} ${numPages === 1 ? "page" : "pages"}` : "Opening the file …";
  const bar = h("progress", { max: numPages || 1, ariaLabel: "Pages read" });
  if (numPages) bar.value = pages.length;
  body.replaceChildren(busy ? h("p", { class: "progress" }, bar, words) : "");
  for (const page of pages) {
    const title = h("button", { class: "link", type: "button" }, `Page ${page.page}`);
    title.onclick = () => lookAtPage(entry, page);
    if (entry.request.source.isDocument) body.append(h("h4", {}, title));
    body.append(page.error ? h("p", { class: "error" }, page.error) : h("p", { class: "text" }, page.text || "No text."));
    if (FINISHES[page.finish_reason]) body.append(h("small", {}, FINISHES[page.finish_reason]));
  }
}

function facts({ finish, usage, seconds }) {
  const tokens = usage && `${usage.completion_tokens} ${usage.completion_tokens === 1 ? "token" : "tokens"}`;
  const images = usage && `${usage.prompt_tokens_details.image_tokens} image tokens`;
  return [FINISHES[finish], tokens, images, `${seconds.toFixed(1)} s`].filter(Boolean).join(" · ");
}

function copies(entry, say) {
  const button = (name, text) => {
    const made = h("button", { class: "quiet", type: "button" }, name);
    made.onclick = async () => {
      await copy(text(entry));
      made.textContent = "Copied";
      say(`${name}: copied`);
      setTimeout(() => { made.textContent = name; }, 1500);
    };
    return made;
  };
  return h("span", {}, button("Copy JSON", asJson), button("Copy curl", asCurl));
}
