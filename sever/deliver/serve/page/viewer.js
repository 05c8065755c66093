// The picture: an image with masks over it, zoomed and moved by mouse, touch and keys; knows no answers and no tools.

import { outline } from "./paint.js";

const [LEAST_SCALE, MOST_SCALE] = [0.05, 40];
const FILL = { active: 48, other: 22 };

export class Viewer {
  /** `tool` hears of the pointer in image pixels: press, drag, release, hover; where it wants none, the image moves. */
  constructor(canvas, tool) {
    this.canvas = canvas;
    this.tool = tool;
    this.image = null;
    this.layers = new Map();
    this.view = { scale: 1, x: 0, y: 0 };
    this.look = { brightness: 1, contrast: 1, isRaw: false, isBeside: false };
    this.extra = () => {};
    this.pointers = new Map();
    this.context = canvas.getContext("2d");
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(canvas);
    this.listen();
  }

  stop() {
    this.resizer.disconnect();
  }

  setImage(bitmap, height, width) {
    Object.assign(this, { image: bitmap, height, width, hasAnswer: true });
    this.layers.clear();
    this.fit();
  }

  /** A class's mask in its colour [r, g, b]; `style` is active, other or hidden. */
  setLayer(name, mask, colour, style) {
    if (style === "hidden") this.layers.delete(name);
    else this.layers.set(name, { colour, path: this.pathOf(mask), tint: this.tintOf(mask, colour, FILL[style]), style });
    this.draw();
  }

  pathOf(mask) {
    const path = new Path2D();
    for (const [x0, y0, x1, y1] of outline(mask, this.height, this.width)) {
      path.moveTo(x0, y0);
      path.lineTo(x1, y1);
    }
    return path;
  }

  tintOf(mask, [red, green, blue], alpha) {
    const pixels = new ImageData(this.width, this.height);
    for (let at = 0; at < mask.length; at++) if (mask[at]) pixels.data.set([red, green, blue, alpha], 4 * at);
    const tint = new OffscreenCanvas(this.width, this.height);
    tint.getContext("2d").putImageData(pixels, 0, 0);
    return tint;
  }

  get ratio() {
    return devicePixelRatio || 1;
  }

  resize() {
    const [width, height] = [this.canvas.clientWidth, this.canvas.clientHeight].map((each) => Math.round(each * this.ratio));
    if (this.canvas.width === width && this.canvas.height === height) return;
    Object.assign(this.canvas, { width, height });
    this.fit();
  }

  /** The size of one pane: the canvas, or half of it where two images stand beside each other or one over the other. */
  pane() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!this.look.isBeside) return { width, height, dx: 0, dy: 0 };
    const isWide = this.width / this.height > width / height;
    return isWide ? { width, height: height / 2, dx: 0, dy: height / 2 } : { width: width / 2, height, dx: width / 2, dy: 0 };
  }

  fit() {
    if (!this.hasAnswer) return;
    const { width, height } = this.pane();
    const scale = Math.min(width / this.width, height / this.height) * 0.96;
    const [x, y] = [(width - this.width * scale) / 2, (height - this.height * scale) / 2];
    this.view = { scale, x, y };
    this.draw();
  }

  zoom(factor, x = this.pane().width / 2, y = this.pane().height / 2) {
    const scale = Math.min(MOST_SCALE, Math.max(LEAST_SCALE, this.view.scale * factor));
    const by = scale / this.view.scale;
    this.view = { scale, x: x - (x - this.view.x) * by, y: y - (y - this.view.y) * by };
    this.draw();
  }

  move(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.draw();
  }

  /** A place on the page in image pixels, with fractions. */
  place(event) {
    const at = this.inPane(event.clientX, event.clientY);
    const { scale, x, y } = this.view;
    return { x: (at.x - x) / scale, y: (at.y - y) / scale };
  }

  /** Both panes show the same place, so a pointer in the second one works like one in the first. */
  inPane(clientX, clientY) {
    const box = this.canvas.getBoundingClientRect();
    const { width, height } = this.pane();
    const [x, y] = [clientX - box.left, clientY - box.top];
    return { x: x >= width ? x - width : x, y: y >= height ? y - height : y };
  }

  draw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.drawNow();
    });
  }

  drawNow() {
    const { context, canvas, look } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!this.hasAnswer) return;
    const { dx, dy } = this.pane();
    this.drawPane(0, 0, !look.isRaw);
    if (look.isBeside) this.drawPane(dx, dy, false);
  }

  drawPane(dx, dy, hasMasks) {
    const { context, view, look, ratio } = this;
    const { width, height } = this.pane();
    context.save();
    context.setTransform(ratio, 0, 0, ratio, dx * ratio, dy * ratio);
    context.beginPath();
    context.rect(0, 0, width, height);
    context.clip();
    context.transform(view.scale, 0, 0, view.scale, view.x, view.y);
    context.imageSmoothingEnabled = view.scale * ratio < 2;
    context.filter = `brightness(${look.brightness}) contrast(${look.contrast})`;
    if (this.image) context.drawImage(this.image, 0, 0, this.width, this.height);
    context.filter = "none";
    if (hasMasks) for (const layer of this.layers.values()) this.drawLayer(layer);
    this.extra(context, 1 / view.scale);
    context.restore();
  }

  drawLayer({ colour, path, tint, style }) {
    const { context } = this;
    const thin = 1 / this.view.scale;
    context.drawImage(tint, 0, 0);
    context.lineCap = "square";
    context.strokeStyle = "#10151aa0";
    context.lineWidth = 3.4 * thin;
    context.stroke(path);
    context.strokeStyle = `rgb(${colour})`;
    context.lineWidth = (style === "active" ? 1.8 : 1.3) * thin;
    context.stroke(path);
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.down(event));
    canvas.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.tool.hover(null));
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  wheel(event) {
    event.preventDefault();
    const { x, y } = this.inPane(event.clientX, event.clientY);
    this.zoom(Math.exp(-event.deltaY / 400), x, y);
  }

  down(event) {
    if (!this.hasAnswer) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (this.pointers.size > 1) {
      this.tool.cancel(); // a second finger: this is no stroke, but a pinch
      this.isWorking = false;
    } else {
      this.isWorking = event.button === 0 && this.tool.press(this.place(event), event);
    }
  }

  moved(event) {
    const last = this.pointers.get(event.pointerId);
    if (!last) {
      this.tool.hover(this.place(event));
    } else if (this.pointers.size > 1) {
      this.pinch(event, last);
    } else if (this.isWorking) {
      const passed = event.getCoalescedEvents?.() ?? [];
      for (const each of passed.length ? passed : [event]) this.tool.drag(this.place(each));
    } else {
      this.move(event.clientX - last.x, event.clientY - last.y);
    }
    if (last) this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  }

  pinch(event, last) {
    const [id] = [...this.pointers.keys()].filter((each) => each !== event.pointerId);
    const other = this.pointers.get(id);
    const distance = (point) => Math.hypot(point.x - other.x, point.y - other.y);
    const now = { x: event.clientX, y: event.clientY };
    const { x, y } = this.inPane((now.x + other.x) / 2, (now.y + other.y) / 2);
    this.move((now.x - last.x) / 2, (now.y - last.y) / 2);
    this.zoom(distance(now) / Math.max(1, distance(last)), x, y);
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.isWorking) event.type === "pointerup" ? this.tool.release(this.place(event)) : this.tool.cancel();
    this.isWorking = false;
  }
}
