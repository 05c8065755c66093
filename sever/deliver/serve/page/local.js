// What must not be lost, kept in this browser: drafts that are not saved yet, and savings that are not sent yet.

const NAME = "sever-review";
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("drafts", { keyPath: "key" });
      asked.result.createObjectStore("outbox", { keyPath: "key" });
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opened;
}

/** Done when it is on the disk, not only promised. */
async function run(store, mode, call) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(store, mode, { durability: "strict" });
    const asked = call(transaction.objectStore(store));
    transaction.oncomplete = () => resolve(asked.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

export const put = (store, value) => run(store, "readwrite", (found) => found.put(value));
export const take = (store, key) => run(store, "readonly", (found) => found.get(key));
export const drop = (store, key) => run(store, "readwrite", (found) => found.delete(key));
export const all = (store) => run(store, "readonly", (found) => found.getAll());

export const draftKey = (user, id) => `${user}\n${id}`;

/** A key that nobody else makes; also where the page comes without HTTPS. */
export function newKey() {
  const parts = crypto.getRandomValues(new Uint32Array(4));
  return [...parts].map((part) => part.toString(16).padStart(8, "0")).join("");
}
