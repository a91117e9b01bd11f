// What is sent, and the same as text to copy: a curl command, and the answer as JSON.
import { address, hasKey } from "./api.js";

/**
 * The body of a chat completion.
 * @param turns [{text, pictures, answer}], the last one without an answer.
 * @param urlOf the URL of a picture.
 */
export function chatBody(model, turns, sampling, urlOf) {
  const messages = turns.flatMap(({ text, pictures, answer }) => {
    const images = pictures.map((picture) => ({ type: "image_url", image_url: { url: urlOf(picture) } }));
    const asked = { role: "user", content: [...images, { type: "text", text }] };
    return answer ? [asked, { role: "assistant", content: answer }] : [asked];
  });
  return { model, messages, ...sampling };
}

/** A command that asks the same again, run in the folder of the files. */
export function asCurl(entry) {
  const start = (path) => `curl -sS ${quote(address(path))}${hasKey() ? ' -H "authorization: Bearer $VL2_API_KEY"' : ""}`;
  const { mode, request } = entry;
  if (mode === "ask") return curlOfChat(request, start);
  if (mode === "read") return start("v1/ocr") + formOf({ file: request.source.name, ...request.fields });
  const { source, page } = request.picture;
  if (!source.isDocument) return start("v1/ground") + formOf({ file: source.name, ...request.fields });
  return `${drawn(start, source, page)} | ${start("v1/ground")}${formOf({ file: "-", ...request.fields })}`;
}

function curlOfChat({ model, turns, sampling }, start) {
  const pictures = turns.flatMap((turn) => turn.pictures);
  const lines = pictures.map(({ source, page }, number) => {
    const bytes = source.isDocument ? `${drawn(start, source, page)} | base64` : `base64 < ${quote(source.name)}`;
    return `IMAGE${number + 1}=$(${bytes} | tr -d '\\n')`;
  });
  // In a here-document the shell looks at $, ` and \ only; the names of the images are put in after all are escaped.
  const body = chatBody(model, turns, sampling, (picture) => `IMAGE:${pictures.indexOf(picture)}:`);
  const escaped = JSON.stringify(body, null, 1).replace(/[\\$`]/g, "\\$&");
  const filled = escaped.replace(/"url": "IMAGE:(\d+):"/g, (_, number) => {
    const { blob } = pictures[number];
    return `"url": "data:${blob.type || "image/png"};base64,$IMAGE${Number(number) + 1}"`;
  });
  const send = `${start("v1/chat/completions")} -H 'content-type: application/json' --data-binary @- <<JSON`;
  return [...lines, send, filled, "JSON"].join("\n");
}

const drawn = (start, source, page) => start("v1/draw") + formOf({ file: source.name, page });

function formOf({ file, ...fields }) {
  const name = file === "-" ? "-" : `"${file.replace(/["\\]/g, "\\$&")}"`;
  const given = Object.entries(fields).filter(([, value]) => value !== "" && value != null);
  // --form-string takes a value as it is, where -F would read a file at @ or <.
  return ` -F ${quote(`file=@${name}`)}${given.map(([key, value]) => ` --form-string ${quote(`${key}=${value}`)}`).join("")}`;
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The answer of an entry as the API gave it. */
export function asJson({ mode, answer, regions, finish, usage, pages, response, request }) {
  if (mode === "locate") return JSON.stringify(response, null, 2);
  if (mode === "read") return JSON.stringify({ object: "ocr", model: request.fields.model, pages, usage }, null, 2);
  const message = { role: "assistant", content: answer };
  const choice = { index: 0, message, finish_reason: finish, regions };
  return JSON.stringify({ object: "chat.completion", model: request.model, choices: [choice], usage }, null, 2);
}
