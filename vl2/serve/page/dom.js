// Elements, and copying text: all that the page needs of a framework.

/** The element with this id. */
export const at = (id) => document.getElementById(id);

/** h("button", {class: "quiet", onclick: f, ariaLabel: "Close"}, "text", child): an element. Text is never HTML. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { class: names, ...rest } = properties;
  if (names) element.className = names;
  Object.assign(element, rest);
  element.append(...children.filter((child) => child != null && child !== false));
  return element;
}

/** Puts an element at a box of percentages of its parent. The CSSOM is open to us; style attributes are not. */
export function place(element, [x0, y0, x1, y1], width, height) {
  const percent = (value) => `${100 * value}%`;
  element.style.left = percent(x0 / width);
  element.style.top = percent(y0 / height);
  element.style.width = percent((x1 - x0) / width);
  element.style.height = percent((y1 - y0) / height);
  return element;
}

/** Copies text, also where the clipboard API is missing: on plain http from other machines. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden", value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
