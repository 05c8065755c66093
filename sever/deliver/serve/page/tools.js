// The tools that a hand holds: each turns presses and drags into one step of a draft.

import * as paint from "./paint.js";

export const TOOLS = { hand: "h", select: "v", brush: "b", eraser: "e", polygon: "l", fill: "f", wand: "w" };
const CLOSE_PIXELS = 12;

export class Tools {
  /** `desk` has the draft, the active class, a viewer, and hears `changed()`; `levels()` gives a probability map. */
  constructor(desk) {
    this.desk = desk;
    this.kind = "hand";
    this.radius = 4;
    this.tolerance = 40;
    this.reset();
  }

  reset() {
    this.at = null;
    this.before = null;
    this.points = [];
    this.selected = null;
  }

  use(kind) {
    this.cancel();
    this.selected = null;
    this.kind = kind;
    this.desk.viewer.draw();
  }

  get size() {
    const { height, width } = this.desk.draft;
    return [height, width];
  }

  get mask() {
    return this.desk.draft.mask(this.desk.active);
  }

  press(place) {
    if (!this.desk.draft || this.kind === "hand" || !(this.desk.mayEdit || this.kind === "select")) return false;
    const pixel = this.pixel(place);
    if (this.kind === "brush" || this.kind === "eraser") this.begin(pixel);
    else if (this.kind === "polygon") this.corner(place);
    else if (this.kind === "select") this.select(pixel);
    else if (this.isInside(pixel)) this[this.kind](pixel);
    return true;
  }

  drag(place) {
    this.hover(place);
    if (!this.before) return;
    const pixel = this.pixel(place);
    this.draw(this.last, pixel);
    this.last = pixel;
  }

  release() {
    if (!this.before) return;
    const changed = this.strokeChanged;
    if (changed) this.desk.draft.keep(this.before);
    this.before = null;
    if (changed) this.desk.changed([this.desk.active]);
  }

  /** A stroke that was none after all is taken back. */
  cancel() {
    if (this.before) {
      this.desk.draft.keep(this.before);
      this.desk.draft.undo();
      this.desk.draft.undone.pop();
      this.before = null;
      this.desk.redraw([this.desk.active]);
    }
    this.points = [];
    this.desk.viewer?.draw();
  }

  hover(place) {
    this.at = place;
    this.desk.viewer.draw();
  }

  pixel({ x, y }) {
    return { x: Math.floor(x), y: Math.floor(y) };
  }

  isInside({ x, y }) {
    const [height, width] = this.size;
    return x >= 0 && y >= 0 && x < width && y < height;
  }

  begin(pixel) {
    this.before = this.desk.draft.state(this.desk.active);
    this.strokeChanged = false;
    this.last = pixel;
    this.draw(pixel, pixel);
  }

  draw(from, to) {
    const value = this.kind === "brush" ? 1 : 0;
    if (!paint.stroke(this.mask, ...this.size, from, to, this.radius, value)) return;
    this.strokeChanged = true;
    this.desk.redraw([this.desk.active]);
  }

  corner(place) {
    const first = this.points[0];
    const near = CLOSE_PIXELS / this.desk.viewer.view.scale;
    const closes = this.points.length > 2 && Math.hypot(place.x - first.x, place.y - first.y) < near;
    if (closes) this.close();
    else this.points.push(this.rounded(place));
    this.desk.viewer.draw();
  }

  /** Corners lie on the corners of pixels, so that what is filled is plain to see. */
  rounded({ x, y }) {
    return { x: Math.round(x), y: Math.round(y) };
  }

  close() {
    const points = this.points;
    this.points = [];
    if (points.length > 2) this.change(() => paint.polygon(this.mask, ...this.size, points, 1));
    this.desk.viewer.draw();
  }

  fill({ x, y }) {
    this.change(() => paint.fillHole(this.mask, ...this.size, x, y));
  }

  async wand({ x, y }) {
    const { draft, active } = this.desk;
    const levels = await this.desk.levels(active);
    if (levels && draft === this.desk.draft) {
      this.change(() => paint.wand(draft.mask(active), ...this.size, x, y, levels, this.tolerance), active);
    }
  }

  change(work, name = this.desk.active) {
    if (this.desk.draft.step([name], work)) this.desk.changed([name]);
  }

  /** The part of a mask under the pointer, of the active class first. */
  select({ x, y }) {
    const [height, width] = this.size;
    const { draft, active } = this.desk;
    this.selected = null;
    if (this.isInside({ x, y })) {
      const names = [active, ...draft.names.filter((name) => name !== active)];
      const name = names.find((each) => draft.mask(each)[y * width + x]);
      const belongs = (at) => draft.mask(name)[at] === 1;
      if (name) this.selected = { name, pixels: paint.region(height, width, x, y, belongs, true) };
    }
    this.desk.selectionChanged();
  }

  /** All connected parts in the order of their classes and first pixels. */
  parts() {
    const [height, width] = this.size;
    const found = [];
    this.desk.draft.names.forEach((name) => {
      const mask = this.desk.draft.mask(name);
      const seen = new Uint8Array(mask.length);
      for (let at = 0; at < mask.length; at++) {
        if (!mask[at] || seen[at]) continue;
        const pixels = paint.region(height, width, at % width, Math.floor(at / width), (each) => mask[each] === 1, true);
        for (const each of pixels) seen[each] = 1;
        found.push({ name, pixels });
      }
    });
    return found;
  }

  /** Give the selected part to another class. */
  relabel(name) {
    this.moveSelected(name);
  }

  remove() {
    this.moveSelected(null);
  }

  moveSelected(name) {
    const { selected } = this;
    if (!selected || selected.name === name || !this.desk.mayEdit) return;
    const names = name === null ? [selected.name] : [selected.name, name];
    this.desk.draft.step(names, () => {
      for (const at of selected.pixels) {
        this.desk.draft.mask(selected.name)[at] = 0;
        if (name !== null) this.desk.draft.mask(name)[at] = 1;
      }
      return true;
    });
    this.selected = null;
    this.desk.changed(names);
    this.desk.selectionChanged();
  }

  /** What the viewer draws over the masks: the brush, the polygon so far, what is selected. */
  paintOver(context, thin) {
    context.lineWidth = 1.5 * thin;
    context.strokeStyle = "#fff";
    if (this.selected) this.paintSelected(context);
    if (this.points.length) this.paintPoints(context, thin);
    if (this.at && (this.kind === "brush" || this.kind === "eraser")) {
      const { x, y } = this.pixel(this.at);
      context.beginPath();
      context.arc(x + 0.5, y + 0.5, this.radius + 0.5, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  paintSelected(context) {
    const { width } = this.desk.draft;
    context.fillStyle = "#ffffff70";
    for (const at of this.selected.pixels) context.fillRect(at % width, Math.floor(at / width), 1, 1);
  }

  paintPoints(context, thin) {
    context.beginPath();
    for (const { x, y } of this.points) context.lineTo(x, y);
    if (this.at) context.lineTo(this.at.x, this.at.y);
    context.stroke();
    const [{ x, y }] = this.points;
    context.beginPath();
    context.arc(x, y, 5 * thin, 0, 2 * Math.PI);
    context.stroke();
  }
}
