// Short words at the edge of the page, which go by themselves; a screen reader reads them.

import { make } from "./dom.js";

const [SHOWN_MS, MOST] = [6000, 3];

export function notify(text, kind = "") {
  const place = document.getElementById("notices");
  const notice = make("p", { class: `notice ${kind}` }, text);
  place.append(notice);
  while (place.children.length > MOST) place.firstChild.remove();
  setTimeout(() => notice.remove(), SHOWN_MS);
}
