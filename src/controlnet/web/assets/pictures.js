// Pictures as data URIs: read from files, made smaller where they are huge, and drawn anew.

const LARGEST = 2048; // of a side: what a base makes is smaller, and a request stays small

export function canvas(width, height, colour) {
  const made = document.createElement("canvas");
  made.width = width;
  made.height = height;
  if (colour) {
    const context = made.getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
  }
  return made;
}

/** Read a picture's file or blob; the browser turns it upright. */
export async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error(`${file.name ?? "this"} is no picture that the browser can read; PNG, JPEG or WebP would do`);
  }
  const scale = Math.min(1, LARGEST / Math.max(bitmap.width, bitmap.height));
  const made = canvas(Math.round(bitmap.width * scale), Math.round(bitmap.height * scale));
  const context = made.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, made.width, made.height);
  return made.toDataURL("image/png");
}

/** Read a picture of this page's own. */
export function load(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("a picture could not be shown"));
    image.src = source;
  });
}

/** Hand a blob or data URI to the person, as a file. */
export function download(source, name) {
  const link = document.createElement("a");
  link.href = source instanceof Blob ? URL.createObjectURL(source) : source;
  link.download = name;
  link.click();
  if (source instanceof Blob) setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Ask the person for a file. */
export function chosen(accept) {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    input.type = "file";
    input.accept = accept;
    input.onchange = () => resolve(input.files[0] ?? null);
    input.click();
  });
}

export function asDataURL(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}
