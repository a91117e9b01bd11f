// The ways to give a file: choosing, pasting, dropping.
import { at } from "./dom.js";

/** @param open called with (files, names) */
export function listenForFiles(open) {
  for (const id of ["choose", "add"]) at(id).onclick = () => at("file").click();
  at("file").onchange = async () => {
    await open(at("file").files);
    at("file").value = ""; // so that the same file can be chosen again
  };
  let pasted = 0;
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (!files.length) return;
    event.preventDefault();
    open(files, files.map(({ name }) => (name === "image.png" ? `pasted-${++pasted}.png` : name))); // all are called that
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      document.body.classList.add("dragging");
    });
  }
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    open(event.dataTransfer.files);
  });
}
