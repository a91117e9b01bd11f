// The server's API: requests, streams, and errors in plain words. Paths are relative, so a proxy may add a prefix.

let key = "";
export const setKey = (value) => { key = value; };
export const hasKey = () => key !== "";
export const address = (path) => new URL(path, document.baseURI).href;

const WORDS = {
  0: "The server cannot be reached. Is it still running?",
  401: "This server needs an API key. Enter it under Settings.",
  413: "This is larger than the server takes.",
  429: "The server is busy. Try again in a moment.",
  500: "Something went wrong inside the server.",
  503: "The server is not ready.",
};

/** What the server refused, as a sentence; `status` is 0 if there was no answer. */
export class ApiError extends Error {
  constructor(status, { message = "", param = null } = {}) {
    // The names of fields are for programs.
    const plain = param && message.startsWith(`${param}: `) ? message.slice(param.length + 2) : message;
    const sentence = plain && plain[0].toUpperCase() + plain.slice(1).replace(/[.]?$/, ".");
    const words = WORDS[status];
    const more = [0, 401, 500].includes(status) ? "" : sentence;
    super([words, more].filter(Boolean).join(" ") || `The server answered with status ${status}.`);
    this.status = status;
  }
}

async function call(path, options = {}) {
  const headers = { ...options.headers, ...(key && { authorization: `Bearer ${key}` }) };
  let response;
  try {
    response = await fetch(path, { ...options, headers, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0);
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error);
}

const form = (fields) => {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== "" && value != null) data.append(name, value);
  return data;
};

export const models = async () => (await call("v1/models")).json();

/** How images of these {width, height} are cut into tiles, all being in one conversation. */
export async function tiles(sizes) {
  const query = sizes.map(({ width, height }) => `size=${width}x${height}`).join("&");
  return (await (await call(`v1/tiles?${query}`)).json()).images;
}

/** A page of a document as {blob, numPages}. */
export async function draw(file, page) {
  const response = await call("v1/draw", { method: "POST", body: form({ file, page }) });
  return { blob: await response.blob(), numPages: Number(response.headers.get("x-num-pages")) };
}

export async function ground(fields, signal) {
  return (await call("v1/ground", { method: "POST", body: form(fields), signal })).json();
}

/** Objects of /v1/ocr as they come: start, page, ..., done. */
export async function* ocr(fields, signal) {
  const response = await call("v1/ocr", { method: "POST", body: form({ ...fields, stream: "true" }), signal });
  for await (const line of pieces(response, "\n")) yield JSON.parse(line);
}

/** Chunks of a chat completion as they come. */
export async function* chat(body, signal) {
  const request = { ...body, stream: true, stream_options: { include_usage: true } };
  const headers = { "content-type": "application/json" };
  const options = { method: "POST", body: JSON.stringify(request), headers, signal };
  for await (const event of pieces(await call("v1/chat/completions", options), "\n\n")) {
    if (!event.startsWith("data: ")) continue; // a comment: the server is still there
    if (event === "data: [DONE]") return;
    const chunk = JSON.parse(event.slice(6));
    if (chunk.error) throw new ApiError(500, chunk.error);
    yield chunk;
  }
  throw new ApiError(0);
}

async function* pieces(response, end) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    let read;
    try {
      read = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ApiError(0); // the connection broke
    }
    if (read.done) break;
    held += read.value;
    const whole = held.split(end);
    held = whole.pop();
    yield* whole.filter(Boolean);
  }
  if (held.trim()) yield held;
}
