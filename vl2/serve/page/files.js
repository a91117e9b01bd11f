// Files that people give: pictures that can be shown and sent, and documents, of which the server draws the pages.
//
//   source   {name, file, numPages, page, isDocument, pictures: Map(page -> picture)}
//   picture  {name, blob, url, width, height, source, page, sent}     sent: it is part of the conversation
import { draw } from "./api.js";

const DOCUMENT = /\.(pdf|tiff?)$/i;

/** Opens a file; whatever the browser cannot show is drawn by the server, which also says what is wrong with it. */
export async function openSource(file, name = file.name) {
  const source = { name, file, numPages: 1, page: 1, isDocument: DOCUMENT.test(name), pictures: new Map() };
  if (!source.isDocument) {
    const picture = await toPicture(source, file, name).catch(() => null);
    if (picture) return source;
  }
  await pictureOf(source, 1);
  return source;
}

/** The picture of a page, drawn once. */
export async function pictureOf(source, page) {
  if (!source.pictures.has(page)) {
    const { blob, numPages } = await draw(source.file, page);
    Object.assign(source, { numPages, isDocument: true });
    await toPicture(source, blob, `${source.name}, page ${page}`, page);
  }
  return source.pictures.get(page);
}

export const shownPicture = (source) => source.pictures.get(source.page);

/** Lets the browser forget a source's pixels. */
export const closeSource = (source) => source.pictures.forEach(({ url }) => URL.revokeObjectURL(url));

/** data:image/png;base64,... of a picture. */
export function dataUrl({ blob }) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function toPicture(source, blob, name, page = 1) {
  const url = URL.createObjectURL(blob), image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
  const { naturalWidth: width, naturalHeight: height } = image; // upright, as boxes are
  const picture = { name, blob, url, width, height, source, page, sent: false };
  source.pictures.set(page, picture);
  return picture;
}
