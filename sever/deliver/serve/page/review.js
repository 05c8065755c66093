// The desk where one answer lies: opens it, keeps a draft of it, sends what its reviewer says; draws by other modules.

import { bitmap, get } from "./api.js";
import { colourOf } from "./colours.js";
import { askAboutConflict } from "./conflict.js";
import { make } from "./dom.js";
import { Draft } from "./draft.js";
import * as local from "./local.js";
import { readLevels } from "./maps.js";
import { notify } from "./notices.js";
import { Panel } from "./panel.js";
import { threshold } from "./paint.js";
import { Queue } from "./queue.js";
import { byClass } from "./runs.js";
import { Toolbar } from "./toolbar.js";
import { Tools } from "./tools.js";
import { Viewer } from "./viewer.js";
import { say } from "./words.js";

const MAY_EDIT = ["reviewer", "admin"];

export class Review {
  constructor(app, wanted) {
    this.app = app;
    this.outbox = app.outbox;
    this.mayEdit = MAY_EDIT.includes(app.user.role);
    this.queue = new Queue(app.classNames, wanted, (id) => this.open(id));
    this.canvas = make("canvas", { id: "picture", tabindex: 0, role: "img", "aria-label": say("viewer.nothing") });
    this.tools = new Tools(this);
    this.toolbar = new Toolbar(this);
    this.panel = new Panel(this);
    const stage = make("div", { class: "stage" }, this.toolbar.element, this.canvas, this.toolbar.status);
    this.element = make("div", { class: "review" }, this.queue.element, stage, this.panel.element);
    this.viewer = new Viewer(this.canvas, this.tools);
    this.viewer.extra = (context, thin) => this.tools.paintOver(context, thin);
    this.hidden = new Set();
    this.ahead = new Map();
    this.draft = null;
  }

  async start(id = null) {
    await this.queue.load();
    const first = id ?? this.queue.answers[0]?.id;
    if (first) await this.open(first);
    else this.panel.show();
  }

  stop() {
    this.viewer.stop();
  }

  /** Show an answer with its newest masks, or with the work that its reviewer did not save yet. */
  async open(id) {
    const opening = (this.opening = Symbol(id));
    let found;
    try {
      found = await this.fetch(id);
    } catch (fault) {
      this.ahead.delete(id);
      return notify(say("open.failed", { why: fault.status ? fault.message : say("sync.away") }), "bad");
    }
    const [kept, savings] = [await this.keptDraft(id), await this.outbox.of(id)];
    if (opening !== this.opening) return undefined;
    this.lay(found, kept, savings);
    return this.lookAhead();
  }

  lay({ answer, versions, image }, kept, savings) {
    Object.assign(this, { answer, versions, savings, maps: new Map(), cutBefore: null });
    const waiting = savings.filter((each) => each.state === "waiting").at(-1);
    const base = waiting ? waiting.body.base + 1 : answer.version;
    this.draft = new Draft(answer, this.masksNow(waiting), kept?.base ?? base);
    if (kept) this.draft.replace(kept.masks);
    if (kept) notify(say(kept.base < answer.version ? "draft.older" : "draft.restored"));
    this.tools.reset();
    this.active = this.firstClass();
    this.viewer.setImage(image, answer.image.height, answer.image.width);
    this.canvas.setAttribute("aria-label", this.describe());
    this.queue.mark(answer.id);
    this.redraw(this.draft.names);
    this.panel.show();
    this.toolbar.show();
    history.replaceState(null, "", `#review/${answer.id}`);
    const conflict = savings.find((each) => each.state === "conflict");
    if (conflict) askAboutConflict(this, conflict);
  }

  describe() {
    const found = this.answer.classes.filter((each) => each.present).map((each) => each.class);
    return say("viewer.label", { name: this.answer.name, classes: found.join(", ") || say("queue.clean") });
  }

  /** Masks of the newest word on this answer: a saving on its way, a person's version, or the model's. */
  masksNow(waiting) {
    if (waiting?.body.verdict === "corrected") return byClass(waiting.body.masks);
    if (waiting?.body.verdict === "rejected") return {};
    if (waiting) return this.modelMasks();
    return this.versions.length ? byClass(this.versions.at(-1).masks) : this.modelMasks();
  }

  modelMasks() {
    return byClass(this.answer.classes);
  }

  firstClass() {
    const names = this.draft.names;
    return names.find((name) => this.draft.mask(name).includes(1)) ?? (names.includes(this.active) ? this.active : names[0]);
  }

  async fetch(id) {
    const early = this.ahead.get(id);
    this.ahead.delete(id);
    const found = (early && (await early.catch(() => null))) || (await this.fetchNow(id));
    if (!early) return found;
    // What was fetched ahead may be old by now; without the service it is still good to look at.
    const [answer, versions] = await this.words(id).catch(() => [found.answer, found.versions]);
    return { ...found, answer, versions };
  }

  async fetchNow(id) {
    const [[answer, versions], image] = await Promise.all([this.words(id), this.picture(id)]);
    return { answer, versions, image };
  }

  words(id) {
    return Promise.all([get(`/v1/answers/${id}`), get(`/v1/answers/${id}/corrections`)]);
  }

  /** The image as the model saw it; null where it is kept no longer. */
  async picture(id) {
    try {
      return await bitmap(`/v1/answers/${id}/image.png`);
    } catch (fault) {
      if (fault.status !== 404) throw fault;
      return null;
    }
  }

  async lookAhead() {
    const id = await this.queue.beside(1).catch(() => null);
    if (!id || this.ahead.has(id)) return;
    this.ahead.clear();
    const found = this.fetchNow(id);
    found.catch(() => {});
    this.ahead.set(id, found);
  }

  async go(step) {
    const id = await this.queue.beside(step).catch(() => null);
    if (id) await this.open(id);
    else notify(say(step > 0 ? "queue.end" : "queue.begin"));
  }

  redraw(names) {
    for (const name of names) {
      const index = this.draft.names.indexOf(name);
      const style = this.hidden.has(name) ? "hidden" : name === this.active ? "active" : "other";
      this.viewer.setLayer(name, this.draft.mask(name), colourOf(index), style);
    }
  }

  /** A step of work is done: draw it, and keep it where a crash can't reach it. */
  changed(names) {
    this.redraw(names);
    this.panel.showClasses();
    this.toolbar.show();
    this.keepDraft();
  }

  selectionChanged() {
    this.viewer.draw();
    this.panel.showClasses();
  }

  choose(name) {
    if (this.tools.selected) return this.tools.relabel(name);
    this.active = name;
    this.hidden.delete(name);
    this.redraw(this.draft.names);
    return this.panel.showClasses();
  }

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    this.redraw([name]);
    this.panel.showClasses();
  }

  undo(isRedo = false) {
    this.tools.cancel();
    this.tools.selected = null;
    if (this.draft?.[isRedo ? "redo" : "undo"]()) this.changed(this.draft.names);
  }

  async levels(name) {
    const { answer, maps } = this;
    try {
      if (!maps.has(name)) maps.set(name, readLevels(answer, name));
      return await maps.get(name);
    } catch (fault) {
      maps.delete(name);
      notify(say("map.failed", { why: fault.status ? fault.message : say("sync.away") }), "bad");
      return null;
    }
  }

  /** The active class's mask out of its probability map, live while a slider moves; `isDone` makes it one step. */
  async cut(level, leastArea, isDone) {
    const { draft, active } = this;
    const levels = await this.levels(active);
    if (!levels || draft !== this.draft || active !== this.active) return;
    this.cutBefore ??= draft.state(active);
    draft.masks.set(active, threshold(levels, draft.height, draft.width, level, leastArea));
    this.redraw([active]);
    this.panel.showClasses();
    if (isDone) {
      draft.keep(this.cutBefore);
      this.cutBefore = null;
      this.changed([active]);
    }
  }

  async keptDraft(id) {
    return (await local.take("drafts", local.draftKey(this.app.user.name, id)).catch(() => null)) ?? null;
  }

  async keepDraft() {
    const { draft } = this;
    const key = local.draftKey(this.app.user.name, draft.answer.id);
    const work = draft.isChanged ? local.put("drafts", { key, base: draft.base, masks: draft.asRuns() }) : local.drop("drafts", key);
    await work.catch(() => notify(say("local.failed"), "bad"));
  }

  /** Say accepted, rejected or corrected. It is kept here first, so nothing that was said is lost. */
  async judge(verdict, { base = this.draft.base, masks = this.draft.asRuns(), isMeant = false } = {}) {
    if (!this.draft || !this.mayEdit || this.isJudging) return;
    if (verdict !== "corrected" && this.draft.isChanged) return void notify(say("judge.unsaved"), "bad");
    if (verdict === "corrected" && !this.draft.isChanged && !isMeant) return void notify(say("judge.nothing"));
    const listed = this.draft.names.map((name) => ({ class: name, runs: masks[name] }));
    const body = { base, verdict, note: this.panel.note(), masks: verdict === "corrected" ? listed : [] };
    this.isJudging = true;
    try {
      const { answer } = this;
      const saving = await this.outbox.add(answer, body);
      await local.drop("drafts", local.draftKey(this.app.user.name, answer.id));
      await this.judged(answer, verdict, saving);
    } catch (fault) {
      notify(say("local.failed", { why: String(fault) }), "bad");
    } finally {
      this.isJudging = false;
    }
  }

  async judged(answer, verdict, saving) {
    if (saving.state === "conflict") return this.open(answer.id);
    if (saving.state === "refused") {
      await local.put("drafts", { key: local.draftKey(this.app.user.name, answer.id), base: saving.body.base, masks: byClass(saving.body.masks) });
      await this.outbox.forget(saving.key);
      return notify(say("judge.refused", { why: saving.fault }), "bad");
    }
    notify(say(saving.state === "sent" ? "judge.saved" : "judge.kept", { verdict: say(`verdict.${verdict}`) }), saving.state === "sent" ? "good" : "");
    this.queue.update({ ...answer, verdict, version: saving.body.base + 1 });
    const next = await this.queue.beside(1).catch(() => null);
    return this.open(next ?? answer.id);
  }
}
