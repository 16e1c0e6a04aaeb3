// What this browser keeps for the person: pictures with what made them, and presets. Nothing leaves it.

const KEPT = 300; // pictures; the oldest go

let opened;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("controlnet", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("pictures", { keyPath: "id", autoIncrement: true });
      request.result.createObjectStore("presets", { keyPath: "name" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error("this browser keeps nothing for the page; the gallery stays empty"));
  });
  return opened;
}

async function act(store, mode, work) {
  const transaction = (await database()).transaction(store, mode);
  return new Promise((resolve, reject) => {
    const request = work(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () =>
      reject(new Error(`the browser could not keep it: ${transaction.error?.message ?? "no room"}`));
  });
}

export const all = (store) => act(store, "readonly", (kept) => kept.getAll());
export const put = (store, item) => act(store, "readwrite", (kept) => kept.put(item));
export const remove = (store, key) => act(store, "readwrite", (kept) => kept.delete(key));
export const empty = (store) => act(store, "readwrite", (kept) => kept.clear());

/** Keep a picture with the request that makes it again. */
export async function keep(blob, body, seed) {
  await put("pictures", { blob, body: { ...body, seed, count: 1 }, seed, time: Date.now() });
  const keys = await act("pictures", "readonly", (kept) => kept.getAllKeys());
  for (const key of keys.slice(0, Math.max(0, keys.length - KEPT))) await remove("pictures", key);
  dispatchEvent(new CustomEvent("kept"));
}
