// What stands beside the picture: the answer's facts, its classes, how to look at it, and what to say of it.

import { swatch } from "./colours.js";
import { button, fill, make, slider } from "./dom.js";
import { area } from "./runs.js";
import { number, percent, say, time } from "./words.js";

export class Panel {
  constructor(desk) {
    this.desk = desk;
    this.facts = make("div", { class: "facts" });
    this.classes = make("ul", { class: "classes", id: "classes" });
    this.versions = make("ol", { class: "versions", id: "versions" });
    this.text = make("input", { id: "note", maxlength: 2000, placeholder: say("judge.note"), "aria-label": say("judge.note"), autocomplete: "off" });
    this.verdicts = this.makeVerdicts();
    this.element = make(
      "aside",
      { class: "panel", "aria-label": say("panel.title") },
      this.facts,
      make("h3", {}, say("panel.classes")),
      this.classes,
      this.makeLook(),
      desk.mayEdit && this.makeCut(),
      make("details", {}, make("summary", {}, say("panel.versions")), this.versions),
      make("div", { class: "judge" }, desk.mayEdit ? [this.text, this.verdicts] : make("p", { class: "note" }, say("judge.viewer"))),
    );
  }

  note() {
    return this.text.value;
  }

  makeVerdicts() {
    const one = (verdict, key, style) =>
      button(say(`judge.${verdict}`), () => this.desk.judge(verdict), { id: `judge-${verdict}`, class: style, key });
    return make("div", { class: "verdicts" }, one("accepted", "A", "good"), one("rejected", "R", "bad"), one("corrected", "S", "main"));
  }

  makeLook() {
    const { desk } = this;
    const one = (key) =>
      slider(say(`look.${key}`), {
        min: 0.2, max: 4, step: 0.05, value: 1, id: key, format: percent,
        oninput: (value) => {
          desk.viewer.look[key] = value;
          desk.viewer.draw();
        },
      });
    this.look = { brightness: one("brightness"), contrast: one("contrast") };
    const reset = button(say("look.reset"), () => this.resetLook(), { class: "quiet" });
    return make("details", { open: true }, make("summary", {}, say("look.title")), this.look.brightness, this.look.contrast, reset);
  }

  resetLook() {
    for (const key of ["brightness", "contrast"]) {
      this.look[key].set(1);
      this.desk.viewer.look[key] = 1;
    }
    this.desk.viewer.draw();
  }

  /** Sliders that cut the probability map: live while they move, one step when they are let go. */
  makeCut() {
    const cut = { level: 128, area: 0 };
    const one = (key, about) => {
      const made = slider(say(`cut.${key}`), { ...about, id: `cut-${key}`, oninput: (value) => ((cut[key] = value), this.desk.cut(cut.level, cut.area, false)) });
      made.querySelector("input").addEventListener("change", () => this.desk.cut(cut.level, cut.area, true));
      return made;
    };
    const level = one("level", { min: 1, max: 255, step: 1, value: 128, format: (value) => percent(value / 255) });
    const least = one("area", { min: 0, max: 3000, step: 1, value: 0, format: (value) => `${number(value)} px` });
    return make("details", { id: "cut" }, make("summary", {}, say("cut.title")), make("p", { class: "note" }, say("cut.about")), level, least);
  }

  show() {
    const { answer } = this.desk;
    this.text.value = "";
    for (const each of this.verdicts.children) each.disabled = !answer;
    if (!answer) return void fill(this.facts, make("p", { class: "note" }, say("panel.nothing")));
    const place = answer.coil && [answer.coil, answer.position_m !== null && `${number(answer.position_m, 2)} m`].filter(Boolean).join(", ");
    const rows = {
      coil: place,
      time: time(answer.created),
      uncertainty: percent(answer.uncertainty),
      familiarity: answer.familiarity === null ? null : number(answer.familiarity, 2),
      size: `${answer.image.width} × ${answer.image.height}`,
      model: answer.model.name,
    };
    const listed = Object.entries(rows).filter(([, value]) => value);
    fill(
      this.facts,
      make("h2", { id: "answer-name" }, answer.name || answer.id.slice(0, 8)),
      make("p", { class: "state", "data-verdict": answer.verdict, id: "answer-verdict" }, this.state()),
      make("dl", {}, listed.flatMap(([key, value]) => [make("dt", {}, say(`fact.${key}`)), make("dd", {}, value)])),
      answer.image.kept ? null : make("p", { class: "note" }, say("panel.dropped")),
    );
    this.showClasses();
    this.showVersions();
  }

  state() {
    const { answer, savings, versions } = this.desk;
    if (savings.some((each) => each.state === "waiting")) return say("panel.waiting");
    const newest = versions.at(-1);
    return newest ? say("panel.by", { verdict: say(`verdict.${newest.verdict}`), author: newest.author }) : say(`verdict.${answer.verdict}`);
  }

  showClasses() {
    const { desk } = this;
    const { selected } = desk.tools;
    fill(this.classes, desk.answer.classes.map((each, index) => this.oneClass(each, index)));
    if (!selected) return;
    const words = say("select.part", { name: selected.name, area: number(selected.pixels.length) });
    const remove = button(say("select.remove"), () => desk.tools.remove(), { class: "quiet", key: "⌫", disabled: !desk.mayEdit });
    this.classes.append(make("li", { class: "selected" }, make("span", {}, words), remove));
  }

  oneClass(each, index) {
    const { desk } = this;
    const name = each.class;
    const isShown = !desk.hidden.has(name);
    const now = area(desk.draft.mask(name));
    const choose = make(
      "button",
      { type: "button", class: "class", "aria-pressed": String(name === desk.active), onclick: () => desk.choose(name), "data-class": name },
      swatch(make("i"), index),
      make("span", { class: "name" }, name),
      make("span", { class: "number" }, now ? say("panel.area", { area: number(now) }) : "–"),
      make("span", { class: "number" }, each.confidence === null ? "" : percent(each.confidence)),
      make("kbd", { "aria-hidden": "true" }, String(index + 1)),
    );
    const eye = make("input", { type: "checkbox", checked: isShown, "aria-label": say("panel.show", { name }), onchange: () => desk.toggle(name) });
    return make("li", {}, choose, eye);
  }

  showVersions() {
    const { desk } = this;
    const from = (masks, words, note) =>
      make("li", {}, make("span", {}, words, note ? make("q", {}, note) : null), desk.mayEdit ? button(say("versions.use"), () => this.use(masks), { class: "quiet" }) : null);
    const model = from(desk.modelMasks(), say("versions.model", { model: desk.answer.model.name }));
    const people = desk.versions.map((each) =>
      from(Object.fromEntries(each.masks.map((mask) => [mask.class, mask.runs])), say("versions.one", { ...each, verdict: say(`verdict.${each.verdict}`), at: time(each.created) }), each.note),
    );
    fill(this.versions, model, people);
  }

  use(masks) {
    this.desk.draft.replace(masks);
    this.desk.changed(this.desk.draft.names);
  }
}
