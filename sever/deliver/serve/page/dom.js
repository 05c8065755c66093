// Elements out of plain values. Text goes in as text only, so no name from outside is ever read as HTML.

/** make("button", {class: "quiet", onclick: f, "aria-label": "..."}, child, "text", ...) */
export function make(tag, about = {}, ...children) {
  const element = tag.includes(":")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [key, value] of Object.entries(about)) set(element, key, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function set(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
  else if (key === "value" || key === "checked" || key === "disabled") element[key] = value;
  else element.setAttribute(key, value === true ? "" : String(value));
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

/** A button with its key shown, which is announced as well. */
export function button(label, onclick, { key = null, ...about } = {}) {
  const shown = key ? [make("kbd", { "aria-hidden": "true" }, key)] : [];
  return make("button", { type: "button", onclick, ...about }, make("span", {}, label), ...shown);
}

export function slider(label, { min, max, step, value, oninput, format = String, ...about }) {
  const output = make("output", {}, format(value));
  const range = make("input", { type: "range", min, max, step, value, ...about });
  range.addEventListener("input", () => {
    output.textContent = format(Number(range.value));
    oninput(Number(range.value));
  });
  const element = make("label", { class: "slider" }, make("span", {}, label), range, output);
  element.set = (number) => {
    range.value = number;
    output.textContent = format(number);
  };
  return element;
}

/** A dialog in the middle of the page, which takes the keyboard; closed by its buttons or Escape. */
export function dialog(title, content, buttons) {
  const heading = make("h2", { id: "dialog-title" }, title);
  const element = make("dialog", { "aria-labelledby": "dialog-title" }, heading, ...content);
  const close = () => element.close();
  element.append(make("div", { class: "row end" }, buttons(close)));
  element.addEventListener("close", () => element.remove());
  document.body.append(element);
  element.showModal();
  return element;
}
