// The row of tools above the picture, and the line under it.

import { button, fill, make, slider } from "./dom.js";
import { TOOLS } from "./tools.js";
import { say } from "./words.js";

const ICONS = {
  hand: "M8 12V6a1.5 1.5 0 0 1 3 0v5-7a1.5 1.5 0 0 1 3 0v7-5a1.5 1.5 0 0 1 3 0v8c0 4-2 6-5 6-4 0-5-2-7-6l-1-2c1-1 2-1 4 1z",
  select: "M5 3l13 8-6 1.5L9.500 19z",
  brush: "M14 4l6 6-8 6-3-3zM8 14l3 3c-1 4-5 4-8 3 2-1 1-5 5-6z",
  eraser: "M13 4l7 7-8 8H8l-4-4zM8 9l7 7",
  polygon: "M5 9l8-5 7 6-3 9H7z",
  fill: "M11 3l8 8-7 7-7-7zM19 14c2 3 2 5 0 5s-2-2 0-5z",
  wand: "M4 20L14 10M17 3v4M15 5h4M20 10v3M18.500 11.500h3M10 4v2M9 5h2",
};

export class Toolbar {
  constructor(desk) {
    this.desk = desk;
    this.buttons = Object.entries(TOOLS).map(([kind, key]) => this.tool(kind, key));
    this.radius = slider(say("tool.radius"), { min: 0, max: 60, step: 1, value: 4, id: "radius", oninput: (value) => this.setRadius(value) });
    this.tolerance = slider(say("tool.tolerance"), { min: 0, max: 200, step: 1, value: 40, id: "tolerance", oninput: (value) => (desk.tools.tolerance = value) });
    this.undo = this.small("↶", "tool.undo", () => desk.undo(), "undo", "Z");
    this.redo = this.small("↷", "tool.redo", () => desk.undo(true), "redo", "Y");
    this.looks = {
      isRaw: button(say("viewer.raw"), () => this.toggle("isRaw"), { id: "raw", class: "quiet", key: "C", "aria-pressed": "false" }),
      isBeside: button(say("viewer.beside"), () => this.toggle("isBeside"), { id: "beside", class: "quiet", key: "X", "aria-pressed": "false" }),
    };
    const out = this.small("−", "zoom.out", () => desk.viewer.zoom(0.8));
    const fit = this.small("⤢", "zoom.fit", () => desk.viewer.fit());
    const into = this.small("+", "zoom.in", () => desk.viewer.zoom(1.25));
    this.element = make(
      "div",
      { class: "toolbar", role: "toolbar", "aria-label": say("tool.title") },
      make("div", { class: "group" }, this.buttons),
      make("div", { class: "group" }, this.undo, this.redo),
      make("div", { class: "group" }, out, fit, into),
    );
    this.status = make("div", { class: "status" }, this.radius, this.tolerance, (this.hint = make("span", { class: "note hint" })), make("div", { class: "group" }, Object.values(this.looks)));
    this.show();
  }

  tool(kind, key) {
    const icon = make("svg:svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, make("svg:path", { d: ICONS[kind] }));
    const label = say(`tool.${kind}`);
    const isEdit = kind !== "hand" && kind !== "select";
    const about = { type: "button", class: "tool", id: `tool-${kind}`, title: label, disabled: isEdit && !this.desk.mayEdit, onclick: () => this.use(kind) };
    return make("button", about, icon, make("span", { class: "name" }, label), make("kbd", { "aria-hidden": "true" }, key.toUpperCase()));
  }

  small(sign, words, act, id = null, key = "") {
    const label = say(words);
    return make("button", { type: "button", class: "quiet sign", id, "aria-label": label, title: `${label} ${key}`.trim(), onclick: act }, sign);
  }

  use(kind) {
    if (kind !== "hand" && kind !== "select" && !this.desk.mayEdit) return;
    this.desk.tools.use(kind);
    this.show();
  }

  setRadius(value) {
    this.desk.tools.radius = Math.max(0, Math.min(60, value));
    this.radius.set(this.desk.tools.radius);
    this.desk.viewer.draw();
  }

  /** `isRaw` hides the masks; `isBeside` shows the raw image beside the one with masks. */
  toggle(key) {
    const { look } = this.desk.viewer;
    look[key] = !look[key];
    this.looks[key].setAttribute("aria-pressed", String(look[key]));
    if (key === "isBeside") this.desk.viewer.fit();
    this.desk.viewer.draw();
  }

  show() {
    const { tools, draft } = this.desk;
    Object.keys(TOOLS).forEach((kind, index) => this.buttons[index].setAttribute("aria-pressed", String(kind === tools.kind)));
    this.undo.disabled = !draft?.done.length;
    this.redo.disabled = !draft?.undone.length;
    this.radius.hidden = tools.kind !== "brush" && tools.kind !== "eraser";
    this.tolerance.hidden = tools.kind !== "wand";
    fill(this.hint, say(`hint.${tools.kind}`));
  }
}
