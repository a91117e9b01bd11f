// The image, with boxes of regions over it, and its tiles on request.
//
//   frame                       as large as fits: the image, or the canvas of its tiles
//     layer                     where the image lies on the canvas
//       img, button.box, ...    boxes in percent of the image, so that they follow its size
//     div.tile, ...             only with tiles
//   div.global                  the global view, small, beside it; only with tiles
import { at, h, place } from "./dom.js";

const COLOURS = ["#d6336c", "#1971c2", "#237032", "#c2410c", "#7048e8", "#0b7285"];
const shown = { picture: null, regions: [], tiles: null, chosen: -1 };

/** Shows a picture. @param tiles of /v1/tiles for it, or null. @param regions in its pixels. */
export function show(picture, { regions = [], tiles = null } = {}) {
  Object.assign(shown, { picture, regions, tiles });
  const frame = at("frame"), { width, height } = picture;
  frame.replaceChildren();
  frame.parentElement.querySelector(".global")?.remove();
  if (tiles) drawTiles(frame);
  else frame.append(place(layer(), [0, 0, width, height], width, height));
  const [canvasWidth, canvasHeight] = tiles ? tiles.local_view.canvas : [width, height];
  frame.style.setProperty("--width", canvasWidth);
  frame.style.setProperty("--height", canvasHeight);
  frame.parentElement.classList.toggle("tiled", Boolean(tiles));
  frame.parentElement.classList.toggle("wide", canvasWidth > canvasHeight);
  highlight(shown.chosen);
  at("caption").textContent = tiles ? tilesInWords(tiles) : `${picture.name} · ${width} × ${height}`;
}

/** Makes the box with this number stand out; none if it is -1. */
export function highlight(number) {
  shown.chosen = number;
  at("frame").querySelectorAll(".box").forEach((box) => {
    box.classList.toggle("chosen", Number(box.dataset.number) === number);
    box.classList.toggle("dim", number >= 0 && Number(box.dataset.number) !== number);
  });
}

/** The colour of a label among those of some regions. */
export function colourOf(label, regions) {
  const labels = [...new Set(regions.map((region) => region.label))];
  return COLOURS[labels.indexOf(label) % COLOURS.length];
}

export const inWords = ({ label, box }) => `${label}: ${box.map(Math.round).join(", ")}`;

function layer() {
  const { picture, regions } = shown;
  const image = h("img", { src: picture.url, alt: picture.name, draggable: false });
  return h("div", { class: "layer" }, image, ...regions.map(drawBox));
}

function drawBox(region, number) {
  const { picture, regions } = shown;
  const box = h("button", { class: "box", type: "button", ariaLabel: inWords(region), title: inWords(region) });
  box.append(h("span", { class: "label" }, region.label));
  box.dataset.number = number;
  box.classList.toggle("low", region.box[1] < picture.height * 0.08); // no room for the label above it
  box.classList.toggle("right", region.box[0] > picture.width / 2); // or beside it
  box.style.setProperty("--colour", colourOf(region.label, regions));
  for (const event of ["mouseenter", "focus"]) box.addEventListener(event, () => highlight(number));
  for (const event of ["mouseleave", "blur"]) box.addEventListener(event, () => highlight(-1));
  return place(box, region.box, picture.width, picture.height);
}

function drawTiles(frame) {
  const { canvas, rows, cols, box } = shown.tiles.local_view;
  frame.append(place(layer(), box, ...canvas));
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) {
      const tile = h("div", { class: "tile" }, h("span", {}, String(row * cols + col + 1)));
      frame.append(place(tile, [col, row, col + 1, row + 1], cols, rows));
    }
  }
  const whole = shown.tiles.global_view;
  const image = place(h("img", { src: shown.picture.url, alt: "" }), whole.box, ...whole.canvas);
  frame.after(h("div", { class: "global" }, h("div", {}, image), "global view"));
}

function tilesInWords({ num_tiles, image_tokens, local_view: { canvas, rows, cols } }) {
  return `Canvas ${canvas.join(" × ")} · ${rows} × ${cols} + 1 = ${num_tiles} tiles · ${image_tokens} image tokens`;
}
