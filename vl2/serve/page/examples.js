// What a visitor can try at once: files of the repository's examples/.
import { at, h } from "./dom.js";

const EXAMPLES = [
  { file: "receipt.png", mode: "ask", text: "What is the total?" },
  { file: "scene.png", mode: "locate", text: "the pine trees" },
  { file: "form.png", mode: "ask", text: "What is the phone number?" },
  { file: "chart.png", mode: "ask", text: "Which day has the highest bar?" },
  { file: "notice.pdf", mode: "read", text: "" },
];
const VERBS = { ask: "", locate: "Locate ", read: "Read this PDF" };

/** @param open called with (file, mode, text) when an example is chosen. */
export function setUpExamples(open) {
  at("examples").append(
    ...EXAMPLES.map(({ file, mode, text }) => {
      const url = `page/examples/${file}`;
      const picture = file.endsWith(".pdf")
        ? h("span", { class: "sheet", ariaHidden: "true" }, "PDF")
        : h("img", { src: url, alt: "", loading: "lazy" });
      const button = h("button", { type: "button" }, picture, h("span", {}, VERBS[mode] + text));
      button.onclick = async () => {
        const blob = await (await fetch(url)).blob();
        open(new File([blob], file, { type: blob.type }), mode, text);
      };
      return h("li", {}, button);
    }),
  );
}
