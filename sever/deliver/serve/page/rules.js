// The rules that make masks of probabilities: sliders that redraw an image at once, tell how many of the last ones would
// change and what that did to images that the model had not seen; saving them as a version, and going back to any.

import { bitmap, get, request, withQuery } from "./api.js";
import { colourOf, swatch } from "./colours.js";
import { button, fill, make, slider } from "./dom.js";
import { notify } from "./notices.js";
import { decode } from "./runs.js";
import { Viewer } from "./viewer.js";
import { number, percent, say, time } from "./words.js";

const [DRAW_WAIT, COUNT_WAIT, STILL_WAIT, SHOWN] = [60, 350, 1500, 12];
const HAND = { press: () => false, drag() {}, release() {}, hover() {}, cancel() {} };

export class Rules {
  constructor(app) {
    this.app = app;
    this.mayTry = app.user.role !== "viewer";
    this.canvas = make("canvas", { id: "rules-picture", tabindex: 0, role: "img", "aria-label": say("viewer.nothing") });
    this.viewer = new Viewer(this.canvas, HAND);
    this.sliders = make("div", { id: "rules-classes" });
    this.count = make("div", { id: "rules-count", role: "status", "aria-live": "polite" }, make("p", { class: "note" }, say(this.mayTry ? "rules.counting" : "rules.viewer")));
    this.save = make("div", { class: "row", id: "rules-save" });
    this.images = make("ul", { class: "thumbs", id: "rules-images" });
    this.versions = make("ul", { class: "alarms", id: "rules-versions" });
    this.element = make("div", { class: "page" }, make("h1", {}, say("nav.rules")), make("p", { class: "note" }, say("rules.about")),
      make("div", { class: "rules" }, make("div", { class: "card" }, this.sliders, this.save), make("div", {}, this.canvas, this.images, make("section", { class: "card" }, this.count))),
      make("h2", {}, say("rules.versions")), this.versions);
  }

  stop() {
    this.viewer.stop();
    this.isOver = true;
    clearTimeout(this.drawing);
    clearTimeout(this.counting);
  }

  async start() {
    await this.refresh();
    const { answers } = await get(withQuery("/v1/answers", { order: "uncertainty", limit: SHOWN }));
    this.listImages(answers.map((each) => each.id));
    if (answers.length) await this.look(answers[0].id);
    this.tried();
  }

  async refresh() {
    this.state = await get("/v1/rules");
    const wide = (value) => (Array.isArray(value) ? [...value] : this.state.class_names.map(() => value));
    this.before = { pixel_threshold: wide(this.state.rules.pixel_threshold), min_pixels: wide(this.state.rules.min_pixels) };
    this.now = structuredClone(this.before);
    this.showSliders();
    this.showVersions();
  }

  showSliders() {
    const none = this.state.evidence?.some(Boolean) ? null : make("p", { class: "note" }, say("rules.noEvidence"));
    fill(this.sliders, this.state.class_names.map((name, at) => this.oneClass(name, at)), none);
    const text = make("input", { id: "rules-note", maxlength: 2000, placeholder: say("judge.note"), "aria-label": say("judge.note"), autocomplete: "off" });
    const isAdmin = this.app.user.role === "admin";
    const back = button(say("look.reset"), () => this.use(this.before), { class: "quiet", id: "rules-reset" });
    fill(this.save, isAdmin ? text : make("p", { class: "note" }, say("rules.admin")), back, isAdmin && button(say("rules.save"), () => this.keep(text.value), { class: "main", id: "rules-keep" }));
  }

  oneClass(name, at) {
    const one = (key, about, id) => slider(say(`cut.${id}`), { ...about, id: `rules-${id}-${at}`, disabled: !this.mayTry, value: this.now[key][at], oninput: (value) => ((this.now[key][at] = value), this.tried()) });
    const most = Math.max(3000, 2 * this.now.min_pixels[at]);
    const told = make("p", { class: "note", "data-evidence": at }, this.evidence(at));
    return make("fieldset", {}, make("legend", {}, swatch(make("i", { class: "swatch" }), at), name),
      one("pixel_threshold", { min: 0.01, max: 0.99, step: 0.01, format: percent }, "level"),
      one("min_pixels", { min: 0, max: most, step: 1, format: (value) => `${number(value)} px` }, "area"), told);
  }

  use(values) {
    this.now = structuredClone(values);
    this.showSliders();
    this.tried();
  }

  /** A slider moved: the image follows at once, the count of the others when the hand rests. */
  tried() {
    this.state.class_names.forEach((_, at) => fill(this.sliders.querySelector(`[data-evidence="${at}"]`), this.evidence(at)));
    if (!this.mayTry) return;
    clearTimeout(this.drawing);
    clearTimeout(this.counting);
    this.drawing = setTimeout(() => this.draw(), DRAW_WAIT);
    this.counting = setTimeout(() => this.tell(), COUNT_WAIT);
  }

  /** What the model's bundle says of these values: images out of fold, at the nearest values that were tried there. */
  evidence(at) {
    const known = this.state.evidence?.[at];
    if (!known) return this.state.evidence?.some(Boolean) ? say("rules.noEvidence") : null;
    const cell = (values) => {
      const [row, column] = [nearest(known.thresholds, values.pixel_threshold[at]), nearest(known.areas, values.min_pixels[at])];
      return Object.fromEntries(["dice", "found", "false_calls"].map((key) => [key, known[key][row][column]]));
    };
    const [before, now] = [cell(this.before), cell(this.now)];
    const change = (key, form) => (before[key] === now[key] ? form(now[key]) : `${form(before[key])} → ${form(now[key])}`);
    const share = (value) => new Intl.NumberFormat(document.documentElement.lang, { style: "percent", maximumFractionDigits: 1 }).format(value);
    return say("rules.evidence", { dice: change("dice", (value) => number(value, 3)), found: change("found", share), false: change("false_calls", share), n: number(known.images) });
  }

  async draw() {
    const { answer } = this;
    if (!answer) return;
    try {
      const masks = await (await request("POST", "/v1/rules/draw", { ...this.now, answer: answer.id })).json();
      if (answer !== this.answer || this.isOver) return;
      masks.forEach(({ runs }, at) => this.viewer.setLayer(String(at), decode(runs, answer.image.height, answer.image.width), colourOf(at), "active"));
    } catch (fault) {
      notify(fault.message || say("sync.away"), "bad");
    }
  }

  async tell() {
    const turn = (this.turn = Symbol("count"));
    try {
      const found = await (await request("POST", "/v1/rules/trial", this.now)).json();
      if (turn !== this.turn || this.isOver) return;
      this.showCount(found);
      if (found.still_coming) this.counting = setTimeout(() => this.tell(), STILL_WAIT);
    } catch (fault) {
      if (turn === this.turn && !this.isOver) fill(this.count, make("p", { class: "fault" }, fault.message || say("sync.away")));
    }
  }

  showCount(found) {
    if (!found.images) return void fill(this.count, make("p", { class: "note" }, say(found.still_coming ? "rules.coming" : "queue.empty", { n: number(found.still_coming) })));
    const moved = found.classes.filter((each) => each.more || each.fewer);
    fill(
      this.count,
      make("p", { class: "value", "data-changed": found.changed, "data-images": found.images }, say("rules.changed", { changed: number(found.changed), images: number(found.images) })),
      make("p", { class: "note" }, say("rules.called", { n: number(found.called_otherwise) })),
      moved.length ? make("ul", {}, moved.map((each) => make("li", {}, say("rules.class", { name: each.class, more: number(each.more), fewer: number(each.fewer) })))) : null,
      found.still_coming ? make("p", { class: "note" }, say("rules.coming", { n: number(found.still_coming) })) : null,
    );
    if (found.listed.length) this.listImages(found.listed.slice(0, SHOWN));
  }

  listImages(ids) {
    const one = (id) => make("li", {}, make("button", { type: "button", class: "thumb", "data-answer": id, "aria-label": id.slice(0, 8), "aria-pressed": String(id === this.answer?.id), onclick: () => this.look(id) }, make("img", { src: `/v1/answers/${id}/overlay.png`, alt: "", loading: "lazy" })));
    fill(this.images, ids.map(one));
  }

  async look(id) {
    const [answer, image] = await Promise.all([get(`/v1/answers/${id}`), bitmap(`/v1/answers/${id}/image.png`).catch(() => null)]);
    if (this.isOver) return;
    this.answer = answer;
    this.viewer.setImage(image, answer.image.height, answer.image.width);
    this.canvas.setAttribute("aria-label", answer.name || id.slice(0, 8));
    for (const each of this.images.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each.dataset.answer === id));
    if (this.mayTry) await this.draw();
  }

  showVersions() {
    const { versions, version, own } = this.state;
    const all = [...versions, { version: 0, rules: own, note: "", author: null }];
    const isAdmin = this.app.user.role === "admin";
    const words = (each) => (each.author ? say("rules.one", { version: each.version, author: each.author, at: time(each.created) }) : say("rules.own"));
    fill(this.versions, all.map((each) => make("li", { "data-version": each.version },
      make("strong", { class: "when" }, words(each), each.note ? make("q", {}, each.note) : null),
      each.version === version ? make("span", { class: "state", "data-verdict": "accepted" }, say("models.current")) : isAdmin && button(say("models.back"), () => this.take(each.version), { class: "quiet" }))));
  }

  async keep(text) {
    await this.change("/v1/rules", { ...this.now, note: text });
  }

  async take(version) {
    await this.change("/v1/rules/current", { version });
  }

  async change(path, body) {
    try {
      await request("POST", path, body);
      await this.refresh();
      notify(say("rules.taken", { version: this.state.version }), "good");
      this.tried();
    } catch (fault) {
      notify(fault.message || say("sync.away"), "bad");
    }
  }
}

function nearest(values, wanted) {
  return values.reduce((best, value, at) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? at : best), 0);
}
