// What the three modes do. Each fills an entry of the conversation and says so after every piece that comes.
//
//   entry   {mode, text, pictures, request, answer, regions, finish, usage, pages, numPages, seconds, error}
import { chat, ground, ocr } from "./api.js";
import { dataUrl } from "./files.js";
import { chatBody } from "./requests.js";

/** Asks about all images of the conversation; regions are of its last one. */
export async function ask(entry, signal, changed) {
  const { model, turns, sampling } = entry.request;
  const pictures = turns.flatMap((turn) => turn.pictures);
  const urls = new Map(await Promise.all(pictures.map(async (picture) => [picture, await dataUrl(picture)])));
  const body = chatBody(model, turns, sampling, (picture) => urls.get(picture));
  for await (const { choices: [choice], usage } of chat(body, signal)) {
    entry.usage = usage ?? entry.usage;
    entry.answer += choice?.delta.content ?? "";
    entry.finish = choice?.finish_reason ?? entry.finish;
    entry.regions = choice?.regions ?? entry.regions;
    changed();
  }
}

/** Boxes of a phrase in the picture that is shown, whatever the conversation is about. */
export async function locate(entry, signal, changed) {
  const { picture, fields } = entry.request;
  const file = new File([picture.blob], picture.source.name);
  const response = await ground({ file, ...fields }, signal);
  const { regions, finish_reason: finish, usage } = response;
  Object.assign(entry, { response, regions, finish, usage });
  const places = regions.length === 1 ? "1 place" : `${regions.length} places`;
  entry.answer = regions.length ? `Found in ${places}.` : "Not found in this image.";
  changed();
}

/** All text of the file that is shown, page by page. */
export async function read(entry, signal, changed) {
  const { source, fields } = entry.request;
  for await (const { type, ...content } of ocr({ file: source.file, ...fields }, signal)) {
    if (type === "start") entry.numPages = content.pages.length;
    if (type === "page") entry.pages = [...entry.pages, content].sort((a, b) => a.page - b.page);
    if (type === "done") Object.assign(entry, { usage: content.usage, finish: "stop" });
    changed();
  }
}
