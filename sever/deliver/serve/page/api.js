// The service's API. A fault is an ApiFault with the status that came, or 0 where the service can't be reached.

let csrf = null;
let onSignedOut = () => {};

export class ApiFault extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
  /** Whether the same request may go through later: the service is away, busy, or failed. */
  get mayPass() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export function whenSignedOut(call) {
  onSignedOut = call;
}

export async function request(method, path, body = null, headers = {}) {
  const about = { method, headers: { ...headers }, credentials: "same-origin" };
  if (body !== null) {
    about.body = JSON.stringify(body);
    about.headers["content-type"] = "application/json";
  }
  if (csrf && method !== "GET") about.headers["x-csrf-token"] = csrf;
  let response;
  try {
    response = await fetch(path, about);
  } catch (fault) {
    throw new ApiFault(0, String(fault.message));
  }
  if (!response.ok) throw await asFault(response, path);
  return response;
}

async function asFault(response, path) {
  const told = await response.json().catch(() => null);
  if (response.status === 401 && path !== "/v1/session") onSignedOut();
  return new ApiFault(response.status, told?.error?.message ?? response.statusText);
}

export const get = async (path) => (await request("GET", path)).json();

/** Who is signed in, or null. */
export async function session() {
  try {
    const found = await get("/v1/session");
    csrf = found.csrf;
    return found;
  } catch (fault) {
    if (fault.status === 401) return null;
    throw fault;
  }
}

export async function signIn(name, password) {
  const found = await (await request("POST", "/v1/session", { name, password })).json();
  csrf = found.csrf;
  return found;
}

export async function signOut() {
  await request("DELETE", "/v1/session");
  csrf = null;
}

/** A path with a query in which null, false and "" are left out. */
export function withQuery(path, query) {
  const kept = Object.entries(query).filter(([, value]) => value !== null && value !== false && value !== "");
  return kept.length ? `${path}?${new URLSearchParams(kept)}` : path;
}

export async function bitmap(path) {
  const response = await request("GET", path);
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none", premultiplyAlpha: "none" });
}
