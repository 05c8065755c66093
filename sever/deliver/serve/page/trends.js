// How it goes over time: defects by class, brightness and familiarity, what people said of the answers, and how quick.

import { get, withQuery } from "./api.js";
import { chart } from "./charts.js";
import { colourOf } from "./colours.js";
import { button, fill, make } from "./dom.js";
import { number, percent, say } from "./words.js";

const HOURS = [1, 8, 24, 168, 720];
const BINS = 48;
const INK = "var(--accent)";

export class Trends {
  constructor(app) {
    this.app = app;
    this.hours = 24;
    this.choices = HOURS.map((hours) => button(say(`trends.hours${hours}`), () => this.want(hours), { "data-hours": hours }));
    this.body = make("div", { id: "trends" });
    const links = app.user.role === "viewer" ? null : make("a", { class: "button", href: "/v1/export.zip", download: "corrections.zip", id: "export" }, say("trends.export"));
    this.element = make("div", { class: "page" }, make("div", { class: "row" }, make("h1", {}, say("nav.trends")), make("div", { class: "group" }, this.choices), links), this.body);
  }

  /** The shortest time that holds all images of the last day: a service that began just now shows more than one bar. */
  async start() {
    const now = Date.now() / 1000;
    const { bins } = await get(withQuery("/v1/statistics", { since: now - 24 * 3600, until: now, bins: 24 }));
    const first = bins.findIndex((each) => each.images > 0);
    const hours = first < 0 ? this.hours : HOURS.find((each) => each >= 24 - first);
    await this.want(hours);
  }

  stop() {}

  async want(hours) {
    this.hours = hours;
    for (const each of this.choices) each.setAttribute("aria-pressed", String(Number(each.dataset.hours) === hours));
    const until = Date.now() / 1000;
    const found = await get(withQuery("/v1/statistics", { since: until - hours * 3600, until, bins: BINS }));
    this.show(found);
  }

  show({ bins, totals, training }) {
    const times = bins.map((each) => each.since);
    const of = (key) => bins.map((each) => each[key]);
    const names = this.app.classNames;
    const colour = (index) => `rgb(${colourOf(index)})`;
    const defects = names.map((name, index) => ({ name, colour: colour(index), values: bins.map((each) => each.defects[name] ?? 0) }));
    const perMetre = defects.map((each) => ({ ...each, values: each.values.map((value, at) => (bins[at].metres ? value / bins[at].metres : 0)) }));
    const agreement = bins.map((each) => (each.judged ? (100 * each.accepted) / each.judged : null));
    const level = (key, value) => (value === null || value === undefined ? [] : [{ name: say(`trends.${key}`), colour: "var(--second)", dashed: true, values: times.map(() => value) }]);
    const one = (key, values) => [{ name: say(`trends.${key}`), colour: INK, values }];
    fill(
      this.body,
      this.big(totals),
      make(
        "div",
        { class: "charts" },
        chart(say("trends.defects"), say("trends.defectsAbout"), times, defects, { stacked: true }),
        totals.metres ? chart(say("trends.perMetre"), say("trends.perMetreAbout"), times, perMetre, { stacked: true, digits: 2 }) : null,
        chart(say("trends.images"), say("trends.imagesAbout"), times, one("images", of("images")), { stacked: true }),
        chart(say("trends.brightness"), this.drift("brightness", of("brightness"), training.brightness), times, [...one("brightness", of("brightness")), ...level("trainingLow", training.brightness?.[0]), ...level("trainingHigh", training.brightness?.[2])], { digits: 1 }),
        totals.familiarity === null ? null : chart(say("trends.familiarity"), say("trends.familiarityAbout"), times, [...one("familiarity", of("familiarity")), ...level("training", training.familiarity)], { digits: 2 }),
        chart(say("trends.agreement"), say("trends.agreementAbout"), times, one("agreement", agreement), { digits: 0 }),
        chart(say("trends.latency"), say("trends.latencyAbout"), times, [
          { name: say("trends.mean"), colour: INK, values: bins.map((each) => each.seconds_mean && 1000 * each.seconds_mean) },
          { name: say("trends.most"), colour: "var(--second)", dashed: true, values: bins.map((each) => each.seconds_most && 1000 * each.seconds_most) },
        ]),
      ),
    );
  }

  /** What the chart shows, and how often it left what the model was trained on. */
  drift(key, values, range) {
    const about = say(`trends.${key}About`);
    const there = values.filter((value) => value !== null);
    if (!range || !there.length) return about;
    const outside = there.filter((value) => value < range[0] || value > range[2]).length;
    return `${about}. ${say("trends.drift", { n: number(outside), all: number(there.length) })}`;
  }

  big(totals) {
    const one = (key, value, under) => make("div", {}, make("dt", {}, say(`trends.${key}`)), make("dd", {}, make("div", { class: "value" }, value), make("div", { class: "under" }, under)));
    return make(
      "dl",
      { class: "big" },
      one("images", number(totals.images), say("trends.inTime")),
      one("defects", number(totals.defects), totals.images ? `${say("trends.perImage", { n: number(totals.defects / totals.images, 1) })}, ${say("trends.ofMetre", { n: number(totals.defects / totals.metres, 2) })}` : "–"),
      one("judged", number(totals.judged), totals.images ? say("trends.share", { share: percent(totals.judged / totals.images) }) : "–"),
      one("agreement", totals.judged ? percent(totals.accepted / totals.judged) : "–", say("trends.agreementUnder")),
    );
  }
}
