// The list of answers to look at: filters, order, pages; knows where its user is in it.

import { get, withQuery } from "./api.js";
import { swatch } from "./colours.js";
import { button, fill, make } from "./dom.js";
import { number, percent, say, time } from "./words.js";

const PAGE = 50;
export const ORDERS = ["uncertainty", "time", "defects", "position"];
const VERDICTS = ["new", "accepted", "rejected", "corrected"];

export class Queue {
  constructor(classNames, wanted, chosen) {
    this.classNames = classNames;
    this.chosen = chosen;
    this.answers = [];
    this.next = null;
    this.total = 0;
    this.current = null;
    this.wanted = { order: "uncertainty", class_name: "", verdict: "new", coil: "", alarmed: false, ...wanted };
    this.list = make("ol", { class: "queue", id: "queue" });
    this.count = make("p", { class: "note", id: "queue-count" });
    this.more = button(say("queue.more"), () => this.load(true), { class: "quiet" });
    this.element = make("section", { class: "side", "aria-label": say("queue.title") }, this.filters(), this.count, this.list, this.more);
  }

  filters() {
    const options = (key, values, words) => {
      const select = make("select", { id: `filter-${key}` }, values.map((value, index) => make("option", { value }, words[index])));
      select.value = this.wanted[key];
      select.addEventListener("change", () => this.want({ [key]: select.value }));
      return make("label", {}, make("span", {}, say(`queue.${key}`)), select);
    };
    const any = say("queue.any");
    const coil = make("input", { id: "filter-coil", value: this.wanted.coil, placeholder: any, autocomplete: "off" });
    coil.addEventListener("change", () => this.want({ coil: coil.value }));
    const alarmed = make("input", { id: "filter-alarmed", type: "checkbox", checked: this.wanted.alarmed });
    alarmed.addEventListener("change", () => this.want({ alarmed: alarmed.checked }));
    return make(
      "form",
      { class: "filters", onsubmit: (event) => event.preventDefault() },
      options("order", ORDERS, ORDERS.map((each) => say(`order.${each}`))),
      options("verdict", ["", ...VERDICTS], [any, ...VERDICTS.map((each) => say(`verdict.${each}`))]),
      options("class_name", ["", ...this.classNames], [any, ...this.classNames]),
      make("label", {}, make("span", {}, say("queue.coil")), coil),
      make("label", { class: "check" }, alarmed, make("span", {}, say("queue.alarmed"))),
    );
  }

  async want(changes) {
    Object.assign(this.wanted, changes);
    await this.load();
    if (this.answers.length) this.chosen(this.answers[0].id);
    document.getElementById("picture")?.focus(); // so that the next key is a command, and no letter in a field
  }

  async load(isMore = false) {
    const { alarmed, ...rest } = this.wanted;
    const query = { ...rest, alarmed: alarmed ? "true" : "", limit: PAGE, after: isMore ? this.next : null };
    const page = await get(withQuery("/v1/answers", query));
    this.answers = isMore ? [...this.answers, ...page.answers] : page.answers;
    Object.assign(this, { next: page.next, total: page.total });
    this.show();
  }

  show() {
    this.count.textContent = this.total ? say("queue.count", { n: number(this.total) }) : say("queue.empty");
    fill(this.list, this.answers.map((answer) => this.row(answer)));
    this.more.hidden = this.next === null;
  }

  row(answer) {
    const isCurrent = answer.id === this.current;
    const picture = make("img", { src: `/v1/answers/${answer.id}/image`, alt: "", loading: "lazy", decoding: "async" });
    picture.addEventListener("error", () => picture.remove());
    const found = answer.classes.map((each, index) => [each, index]).filter(([each]) => each.present);
    const chips = found.map(([each, index]) => make("span", { class: "chip" }, swatch(make("i"), index), each.class));
    const state = answer.verdict === "new" ? say("queue.uncertain", { share: percent(answer.uncertainty) }) : say(`verdict.${answer.verdict}`);
    const about = [answer.coil && say("queue.on", { coil: answer.coil }), time(answer.created)].filter(Boolean).join(" · ");
    return make(
      "li",
      { "data-id": answer.id },
      make(
        "button",
        { type: "button", class: "answer", "aria-current": isCurrent ? "true" : null, onclick: () => this.chosen(answer.id) },
        make("span", { class: "thumb" }, answer.image.kept ? picture : null),
        make("span", { class: "chips" }, chips.length ? chips : make("span", { class: "chip none" }, say("queue.clean"))),
        make("span", { class: "state", "data-verdict": answer.verdict }, state),
        make("span", { class: "name" }, answer.name || answer.id.slice(0, 8)),
        make("span", { class: "when" }, about),
      ),
    );
  }

  mark(id) {
    this.current = id;
    for (const row of this.list.children) {
      const isCurrent = row.dataset.id === id;
      row.firstChild.toggleAttribute("aria-current", isCurrent);
      if (isCurrent) row.firstChild.setAttribute("aria-current", "true");
      if (isCurrent) row.scrollIntoView({ block: "nearest" });
    }
  }

  /** An answer that changed shows its new state, and keeps its place until the list is loaded again. */
  update(answer) {
    const index = this.answers.findIndex((each) => each.id === answer.id);
    if (index < 0) return;
    this.answers[index] = answer;
    this.list.children[index].replaceWith(this.row(answer));
  }

  async beside(step) {
    const index = this.answers.findIndex((each) => each.id === this.current) + step;
    if (index === this.answers.length && this.next) await this.load(true);
    return this.answers[index]?.id ?? null;
  }
}
