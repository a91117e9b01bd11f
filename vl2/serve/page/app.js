// The page: what is open, what runs, and which control does what.
import { ask, locate, read } from "./actions.js";
import { ApiError, models, tiles } from "./api.js";
import { at, h } from "./dom.js";
import { setUpExamples } from "./examples.js";
import { closeSource, openSource, pictureOf, shownPicture } from "./files.js";
import { listenForFiles } from "./giving.js";
import { openSettings, samplingFields, setUpSettings } from "./settings.js";
import { show } from "./stage.js";
import { article } from "./talk.js";

const ACTIONS = { ask, locate, read };
const WORDS = {
  ask: { send: "Ask", hint: "Ask about the image" },
  locate: { send: "Locate", hint: "For example: the total" },
  read: { send: "Read", hint: "" },
};
const RETRY_MS = { 503: 1000, 0: 3000 };

const state = {
  model: "",
  sources: [], // files that are open, in order
  current: null, // the one that is shown
  regions: [], // over it
  tiled: false,
  turns: [], // of the conversation, answered
  running: null, // AbortController
};
const mode = () => document.forms.composer.elements.mode.value;
const say = (words) => { at("status").textContent = words; };

// What is shown

function complain(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof ApiError)) console.error(error);
  at("notice").hidden = false;
  at("notice").firstElementChild.textContent = error.message;
  if (error.status === 401) openSettings("key");
}

/** Pictures that the next question brings into the conversation: new images, and of documents the page in view. */
const newPictures = () =>
  state.sources
    .filter((source) => !source.isDocument || source === state.current)
    .map(shownPicture)
    .filter((picture) => !picture.sent);

async function refresh() {
  document.body.dataset.state = state.sources.length ? "working" : "empty";
  at("welcome").hidden = state.sources.length > 0;
  refreshComposer();
  if (!state.current) return;
  const { current, regions } = state, picture = shownPicture(current);
  at("pager").hidden = current.numPages === 1;
  at("page-number").textContent = `${current.page} / ${current.numPages}`;
  at("previous").ariaDisabled = String(current.page === 1); // disabled ones would lose the focus
  at("next").ariaDisabled = String(current.page === current.numPages);
  at("tiles").ariaPressed = String(state.tiled);
  at("strip").replaceChildren(...(state.sources.length > 1 ? state.sources.map(thumbnail) : []));
  if (!state.tiled) return show(picture, { regions });
  try {
    const together = mode() === "ask" ? [...state.turns.flatMap((turn) => turn.pictures), ...newPictures()] : [picture];
    if (!together.includes(picture)) together.push(picture);
    const found = await tiles(together);
    if (picture === shownPicture(state.current)) show(picture, { regions, tiles: found[together.indexOf(picture)] });
  } catch (error) {
    complain(error);
  }
}

function thumbnail(source) {
  const image = h("img", { src: shownPicture(source).url, alt: "" });
  const open = h("button", { type: "button", title: source.name, ariaLabel: source.name }, image);
  open.ariaPressed = String(source === state.current);
  open.onclick = () => {
    look(shownPicture(source));
    at("strip").querySelector("[aria-pressed=true]").focus(); // this button was replaced
  };
  if (shownPicture(source).sent || state.running) return h("li", {}, open);
  const remove = h("button", { type: "button", class: "remove", ariaLabel: `Remove ${source.name}` }, "✕");
  remove.onclick = () => {
    state.sources = state.sources.filter((other) => other !== source);
    closeSource(source);
    if (state.current === source) look(shownPicture(state.sources[0]));
    else refresh();
  };
  return h("li", {}, open, remove);
}

function refreshComposer() {
  const reads = mode() === "read", manyPages = (state.current?.numPages ?? 1) > 1;
  at("question").hidden = reads;
  at("pages").hidden = !(reads && manyPages);
  at("question").placeholder = WORDS[mode()].hint;
  at("send").textContent = reads && !manyPages ? "Read all text" : WORDS[mode()].send;
  at("send").hidden = Boolean(state.running);
  at("stop").hidden = !state.running;
  const names = newPictures().map((picture) => picture.name);
  at("about").textContent = mode() !== "ask" || !names.length ? "" : `about ${names.join(" and ")}`;
}

function look(picture, regions = []) {
  if (!state.sources.includes(picture.source)) return; // it was removed since
  state.current = picture.source;
  picture.source.page = picture.page;
  state.regions = regions;
  refresh();
}

async function turnPage(source, page, regions = []) {
  if (page < 1 || page > source.numPages) return;
  try {
    look(await pictureOf(source, page), regions);
  } catch (error) {
    complain(error);
  }
}

// What is done

async function open(files, names = []) {
  at("notice").hidden = true;
  for (const [number, file] of [...files].entries()) {
    try {
      const source = await openSource(file, names[number]);
      state.sources.push(source);
      if (source.isDocument) document.forms.composer.elements.mode.value = "read";
      look(shownPicture(source));
    } catch (error) {
      error.message = `${file.name}: ${error.message}`;
      complain(error);
    }
  }
  if (state.sources.length && matchMedia("(pointer: fine)").matches) focusComposer();
}

const focusComposer = () => (mode() === "read" ? at("send") : at("question")).focus();

function newEntry() {
  const text = at("question").value.trim(), { max_tokens, ...others } = samplingFields();
  const entry = {
    mode: mode(), text, pictures: [], answer: "", regions: [], pages: [], finish: null, usage: null, error: "",
    picture: shownPicture(state.current),
  };
  const { picture } = entry, { source } = picture, { model } = state;
  if (entry.mode === "ask") {
    entry.pictures = newPictures();
    const turns = [...state.turns, { text, pictures: entry.pictures }];
    entry.picture = turns.flatMap((turn) => turn.pictures).at(-1) ?? picture;
    entry.request = { model, turns, sampling: max_tokens ? { max_tokens, ...others } : others };
  } else if (entry.mode === "locate") {
    entry.request = { picture, fields: { model, phrase: text, max_tokens } };
  } else {
    const pages = source.numPages > 1 ? at("pages").value.trim() : "";
    entry.text = pages ? `${source.name}, pages ${pages}` : source.name;
    entry.request = { source, fields: { model, pages, max_tokens } };
  }
  return entry;
}

function run() {
  if (state.running || !state.current) return;
  if (mode() !== "read" && !at("question").value.trim()) return at("question").focus();
  if (!state.model) return complain(new ApiError(503));
  const entry = newEntry(), view = article(entry, { look, lookAtPage, say });
  const controller = state.running = new AbortController();
  at("question").value = "";
  state.regions = [];
  at("log").append(view.element);
  at("log").scrollTop = at("log").scrollHeight;
  const hadFocus = document.activeElement === at("send");
  refresh();
  if (hadFocus) at("stop").focus();
  say("Working …");
  follow(entry, controller, () => {
    const log = at("log"), atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 80;
    view.update();
    if (atEnd) log.scrollTop = log.scrollHeight;
    if (entry.mode === "read" && entry.numPages) say(`${entry.pages.length} of ${entry.numPages} pages read`);
  });
}

/** Runs the action of an entry to its end, whatever that is. */
async function follow(entry, controller, changed) {
  const started = performance.now();
  try {
    await ACTIONS[entry.mode](entry, controller.signal, changed);
  } catch (error) {
    if (error.name === "AbortError") entry.finish = "stopped";
    else entry.error = error.message;
    if (error.status === 401) openSettings("key");
    if (!(error instanceof ApiError) && error.name !== "AbortError") console.error(error);
  }
  if (state.running !== controller) return; // a new conversation has begun
  entry.seconds = (performance.now() - started) / 1000;
  if (entry.mode === "ask" && !entry.error && entry.answer) {
    state.turns = [...entry.request.turns.slice(0, -1), { ...entry.request.turns.at(-1), answer: entry.answer }];
    for (const picture of entry.pictures) picture.sent = true;
  }
  if (entry.error && entry.mode !== "read") at("question").value ||= entry.text; // to try again
  const stopHadFocus = document.activeElement === at("stop");
  state.running = null;
  if (entry.regions.length) look(entry.picture, entry.regions);
  else refresh();
  if (stopHadFocus) focusComposer();
  changed();
  say(entry.error || (entry.mode === "read" ? "Done" : entry.answer));
}

const lookAtPage = (entry, page) => turnPage(entry.request.source, page.page, page.regions ?? []);

function restart() {
  state.running?.abort();
  state.sources.forEach(closeSource);
  Object.assign(state, { sources: [], current: null, regions: [], turns: [], running: null });
  at("log").replaceChildren();
  at("notice").hidden = true;
  document.forms.composer.reset();
  refresh();
  at("choose").focus();
}

async function connect() {
  try {
    state.model = (await models()).data[0].id;
    at("model").textContent = state.model;
    at("notice").hidden = true;
    document.title = `${state.model} · vl2`;
  } catch (error) {
    at("model").textContent = { 503: "loading …", 401: "needs a key" }[error.status] ?? "not reachable";
    if (error.status === 401) complain(error);
    else setTimeout(connect, RETRY_MS[error.status] ?? RETRY_MS[0]);
  }
}

// Which control does what

function listen() {
  at("notice").querySelector("button").onclick = () => { at("notice").hidden = true; };
  at("restart").onclick = restart;
  at("stop").onclick = () => state.running?.abort();
  at("tiles").onclick = () => {
    state.tiled = !state.tiled;
    refresh();
  };
  at("previous").onclick = () => turnPage(state.current, state.current.page - 1);
  at("next").onclick = () => turnPage(state.current, state.current.page + 1);
  at("composer").onsubmit = (event) => {
    event.preventDefault();
    run();
  };
  document.querySelectorAll("[name=mode]").forEach((radio) => { radio.onchange = refresh; });
  document.addEventListener("keydown", (event) => {
    if (at("settings").open) return;
    if (event.key === "Escape") state.running?.abort();
    if (event.key !== "Enter" || event.isComposing) return;
    if ((event.target === at("question") && !event.shiftKey) || event.ctrlKey || event.metaKey) {
      event.preventDefault();
      run();
    }
  });
}

listen();
listenForFiles(open);
setUpSettings(connect);
setUpExamples(async (file, chosenMode, text) => {
  await open([file]);
  document.forms.composer.elements.mode.value = chosenMode;
  at("question").value = text;
  run();
});
refresh();
connect();
