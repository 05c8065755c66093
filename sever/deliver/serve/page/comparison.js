// A new model beside the one in service on the images that people judged: scores by class, and the images side by side.

import { get, request } from "./api.js";
import { button, fill, make } from "./dom.js";
import { notify } from "./notices.js";
import { number, say } from "./words.js";

const [WAIT, SHOWN] = [700, 8];

export class Comparison {
  /** `take(name)` puts the compared model in service. */
  constructor(take) {
    this.take = take;
    this.element = make("section", { id: "comparison", "aria-live": "polite" });
  }

  stop() {
    this.isOver = true;
    clearTimeout(this.waiting);
  }

  async begin(name) {
    try {
      await request("POST", "/v1/models/comparison", { name });
    } catch (fault) {
      return void notify(fault.message || say("sync.away"), "bad");
    }
    await this.show();
  }

  async show() {
    const found = await get("/v1/models/comparison");
    if (!found || this.isOver) return;
    const fair = found.unseen.images ? found.unseen : found.all;
    fill(
      this.element,
      make("div", { class: "row" }, make("h2", {}, say("compare.title", { name: found.name })), this.taking(found)),
      make("p", { class: "note", id: "comparison-state", "data-over": String(found.is_over) }, found.is_over ? say("compare.over", { n: number(found.done) }) : say("compare.going", { done: number(found.done), total: number(found.total) })),
      found.fault ? make("p", { class: "fault" }, found.fault) : null,
      found.done ? [this.warning(found), this.table(fair), make("ol", { class: "sides" }, found.images.slice(0, SHOWN).map((each) => this.sides(each)))] : null,
    );
    if (!found.is_over) this.waiting = setTimeout(() => this.show(), WAIT);
  }

  taking(found) {
    return found.is_over && !found.fault && this.take ? button(say("models.take"), () => this.take(found.name), { class: "main", id: "take-compared" }) : null;
  }

  /** Whether the figures are fair: a model knows the images that it was trained on. */
  warning(found) {
    const key = !found.knows_seen ? "unknown" : found.unseen.images ? "unseen" : "seen";
    return make("p", { class: "note" }, say(`compare.${key}`, { n: number(found.unseen.images) }));
  }

  table(scores) {
    const row = (name, now, ours) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, number(now, 3)), make("td", {}, number(ours, 3)), make("td", { class: ours < now ? "worse" : ours > now ? "better" : null }, signed(ours - now)));
    const head = ["compare.class", "compare.now", "compare.new", "compare.gain"].map((key) => make("th", { scope: "col" }, say(key)));
    return make("table", { class: "scores" }, make("caption", { class: "note" }, say("compare.dice", { n: number(scores.images) })), make("thead", {}, make("tr", {}, head)), make("tbody", {}, row(say("compare.all"), scores.now, scores.new), scores.classes.map((each) => row(each.class, each.now, each.new))));
  }

  sides(each) {
    const one = (side, value) => make("figure", {}, make("figcaption", {}, say(`compare.${side}`), value === null ? null : ` ${number(value, 3)}`), make("img", { src: `/v1/models/comparison/${each.answer}/${side}.png`, alt: say(`compare.${side}`), loading: "lazy" }));
    const known = each.is_seen === null ? null : make("span", { class: "note" }, say(each.is_seen ? "compare.wasSeen" : "compare.notSeen"));
    return make("li", {}, one("people", null), one("now", each.now), one("new", each.new), make("p", {}, make("a", { href: `#review/${each.answer}` }, say("coils.open")), " ", known));
  }
}

function signed(value) {
  return `${value > 0 ? "+" : ""}${number(value, 3)}`;
}
