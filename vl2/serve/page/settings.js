// Settings: a dialog, kept in localStorage; the API key is kept in this page only.
import { at } from "./dom.js";
import { setKey } from "./api.js";

const STORE = "vl2";
const DEFAULTS = { temperature: "", max_tokens: "", seed: "", stop_repetition: true, theme: "" };
let values = { ...DEFAULTS, ...load() };

function load() {
  try { return JSON.parse(localStorage.getItem(STORE) ?? "{}"); } catch { return {}; }
}

function save() {
  try { localStorage.setItem(STORE, JSON.stringify(values)); } catch { /* it then holds until the page is left */ }
}

/** Fields of a chat completion that the settings ask for; what is left empty is the server's to choose. */
export function samplingFields() {
  const fields = { stop_repetition: values.stop_repetition };
  for (const name of ["temperature", "max_tokens", "seed"]) if (values[name] !== "") fields[name] = Number(values[name]);
  return fields;
}

export function openSettings(focus = "temperature") {
  const form = at("settings").querySelector("form");
  for (const name of Object.keys(DEFAULTS)) {
    const field = form.elements[name];
    if (field?.type === "checkbox") field.checked = values[name];
    else if (field) field.value = values[name];
  }
  at("settings").showModal();
  form.elements[focus].focus();
}

/** @param whenChanged called after the dialog closes. */
export function setUpSettings(whenChanged) {
  const dialog = at("settings"), form = dialog.querySelector("form");
  at("open-settings").onclick = () => openSettings();
  at("reset").onclick = () => {
    values = { ...DEFAULTS };
    form.reset();
    form.elements.stop_repetition.checked = true;
    showTheme();
    save();
  };
  dialog.addEventListener("close", () => {
    if (dialog.returnValue === "save") {
      for (const name of ["temperature", "max_tokens", "seed"]) values[name] = form.elements[name].value;
      values.stop_repetition = form.elements.stop_repetition.checked;
      setKey(form.elements.key.value.trim());
      save();
      whenChanged();
    }
    dialog.returnValue = "";
  });
  setUpTheme();
}

const system = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (values.theme ? values.theme === "dark" : system.matches);

function showTheme() {
  if (values.theme) document.documentElement.dataset.theme = values.theme;
  else delete document.documentElement.dataset.theme;
  at("theme").ariaPressed = String(isDark());
}

function setUpTheme() {
  at("theme").onclick = () => {
    values.theme = isDark() ? "light" : "dark";
    showTheme();
    save();
  };
  system.addEventListener("change", showTheme);
  showTheme();
}
