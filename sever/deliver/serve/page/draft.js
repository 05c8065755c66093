// One answer's masks while a person works on them: changes, undo and redo; knows no page and no service.

import * as runs from "./runs.js";

const MOST_STEPS = 200;

export class Draft {
  constructor(answer, masks, base) {
    this.answer = answer;
    this.base = base;
    this.height = answer.image.height;
    this.width = answer.image.width;
    this.names = answer.classes.map((each) => each.class);
    this.masks = new Map(this.names.map((name) => [name, runs.decode(masks[name] ?? "", this.height, this.width)]));
    this.begun = this.asRuns();
    this.undone = [];
    this.done = [];
  }

  mask(name) {
    return this.masks.get(name);
  }

  asRuns() {
    return Object.fromEntries(this.names.map((name) => [name, runs.encode(this.masks.get(name), this.height, this.width)]));
  }

  get isChanged() {
    const now = this.asRuns();
    return this.names.some((name) => now[name] !== this.begun[name]);
  }

  /** One step of work: `change` says whether it changed anything; all that it did is undone together. */
  step(names, change) {
    const before = names.map((name) => [name, runs.encode(this.masks.get(name), this.height, this.width)]);
    if (!change()) return false;
    this.keep(before);
    return true;
  }

  /** For a stroke, which lasts: the state to give to `keep` at its end. */
  state(name) {
    return [[name, runs.encode(this.masks.get(name), this.height, this.width)]];
  }

  keep(before) {
    this.done.push(before);
    if (this.done.length > MOST_STEPS) this.done.shift();
    this.undone = [];
  }

  undo() {
    return this.swap(this.done, this.undone);
  }

  redo() {
    return this.swap(this.undone, this.done);
  }

  swap(from, to) {
    const step = from.pop();
    if (!step) return false;
    to.push(step.map(([name]) => this.state(name)[0]));
    for (const [name, text] of step) this.masks.set(name, runs.decode(text, this.height, this.width));
    return true;
  }

  /** Put other masks in place of these, as one step. */
  replace(masks) {
    this.step(this.names, () => {
      for (const name of this.names) this.masks.set(name, runs.decode(masks[name] ?? "", this.height, this.width));
      return true;
    });
  }
}
