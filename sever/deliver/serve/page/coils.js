// Coils as maps: where along and across which defects lie; each leads to its answer. And the alarms.

import { get, request, withQuery } from "./api.js";
import { colourOf, swatch } from "./colours.js";
import { button, fill, make } from "./dom.js";
import { notify } from "./notices.js";
import { number, percent, say, time } from "./words.js";

const [WIDTH, LINE, LEAST_METRES, MOST_LINES, MOST_ALARMS] = [1000, 64, 10, 40, 100];

export class Coils {
  constructor(app) {
    this.app = app;
    this.list = make("ul", { class: "coils", id: "coils" });
    this.map = make("section", { class: "card", id: "coil-map", "aria-label": say("coils.map") });
    this.alarms = make("ul", { class: "alarms", id: "alarms" });
    this.isAll = make("input", { type: "checkbox", id: "alarms-all", onchange: () => this.showAlarms() });
    this.allSeen = button(say("coils.allSeen"), () => this.see(this.open), { class: "quiet", id: "all-seen", hidden: true });
    const heading = make("div", { class: "row" }, make("h2", {}, say("coils.alarms")), make("label", { class: "check" }, this.isAll, make("span", {}, say("coils.seenToo"))), this.allSeen);
    const sides = make("div", { class: "beside" }, make("div", {}, make("h2", {}, say("coils.seen")), this.list), make("div", {}, this.map, heading, this.alarms));
    this.element = make("div", { class: "page" }, make("h1", {}, say("nav.coils")), sides);
  }

  async start(coil = null) {
    const [coils] = await Promise.all([get("/v1/coils"), this.showAlarms()]);
    this.rows = coils;
    fill(this.list, coils.length ? coils.map((each) => this.row(each)) : make("li", { class: "note" }, say("coils.none")));
    const first = coil ?? coils[0]?.coil;
    if (first !== undefined) await this.show(first);
    else this.map.hidden = true;
  }

  stop() {}

  row(each) {
    const words = say("coils.row", { images: number(each.images), defects: number(each.defects) });
    return make("li", {}, make("button", { type: "button", "data-coil": each.coil, onclick: () => this.show(each.coil) }, make("strong", {}, each.coil), make("span", {}, words), make("span", { class: "when" }, time(each.last))));
  }

  async show(coil) {
    for (const each of this.list.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each.dataset.coil === coil));
    const places = await get(withQuery("/v1/coils/map", { coil }));
    const known = this.rows.find((each) => each.coil === coil);
    const metres = Math.max(LEAST_METRES, known?.metres ?? 0, ...places.map((each) => each.along + each.length));
    const breadth = Math.max(0.1, ...places.map((each) => each.across + each.breadth / 2));
    const path = (kind) => withQuery(`/v1/coils/map.${kind}`, { coil });
    const link = (kind, download) => make("a", { class: "button", href: path(kind), download, target: download ? null : "_blank", rel: "noopener" }, say(`coils.${kind}`));
    fill(
      this.map,
      make("div", { class: "row" }, make("h2", {}, coil), button(say("coils.review"), () => this.app.go("review", null, { coil, verdict: "", order: "position" }), { class: "main" }), link("png", false), link("csv", "coil.csv"), link("html", "coil.html")),
      make("p", { class: "note" }, places.length ? say("coils.about", { n: number(places.length), metres: number(metres, 1) }) : say("coils.clean")),
      known?.defects > places.length ? make("p", { class: "note" }, say("coils.largest", { n: number(known.defects) })) : null,
      this.draw(places, metres, breadth),
      this.legend(places),
    );
  }

  legend(places) {
    const there = new Set(places.map((each) => each.class_name));
    const shown = this.app.classNames.map((name, at) => [name, at]).filter(([name]) => there.has(name));
    return make("ul", { class: "legend" }, shown.map(([name, at]) => make("li", {}, swatch(make("i", { class: "swatch" }), at), name)));
  }

  /** Line below line, each so many metres long; the head of the coil is top left. */
  draw(places, metres, breadth) {
    const lineMetres = Math.max(LEAST_METRES, metres / MOST_LINES);
    const lines = Math.ceil(metres / lineMetres);
    const height = lines * LINE + 18;
    const strips = Array.from({ length: lines }, (_, line) => [
      make("svg:rect", { class: "strip", x: 0, y: line * LINE, width: WIDTH * Math.min(1, metres / lineMetres - line), height: LINE - 10, rx: 3 }),
      make("svg:text", { class: "tick", x: 6, y: line * LINE + LINE - 16 }, `${number(line * lineMetres)} m`),
    ]);
    const marks = places.map((place) => this.mark(place, lineMetres, breadth));
    return make("svg:svg", { viewBox: `0 0 ${WIDTH} ${height}`, class: "map", role: "group", "aria-label": say("coils.map") }, strips.flat(), marks);
  }

  mark(place, lineMetres, breadth) {
    const line = Math.floor(place.along / lineMetres);
    const scale = (LINE - 10) / breadth;
    const width = Math.max(7, (place.length / lineMetres) * WIDTH);
    const height = Math.max(7, place.breadth * scale);
    const x = ((place.along - line * lineMetres) / lineMetres) * WIDTH - width / 2;
    const y = line * LINE + Math.min(LINE - 10 - height, Math.max(0, place.across * scale - height / 2));
    const words = say("coils.place", { name: place.class_name, along: number(place.along, 2), across: number(place.across, 2) });
    const colour = `rgb(${colourOf(Math.max(0, this.app.classNames.indexOf(place.class_name)))})`;
    const link = make("svg:a", { href: `#review/${place.answer}`, "aria-label": words }, make("svg:rect", { class: "mark", x, y, width, height, rx: 2, fill: colour }));
    link.append(make("svg:title", {}, words));
    return link;
  }

  async showAlarms() {
    const alarms = await get(withQuery("/v1/alarms", { unseen: this.isAll.checked ? null : "true", limit: MOST_ALARMS }));
    this.open = alarms.filter((each) => each.seen === null).map((each) => each.id);
    this.allSeen.hidden = this.app.user.role === "viewer" || this.open.length < 2;
    const cut = alarms.length < MOST_ALARMS ? null : make("li", { class: "note" }, say("coils.newest", { n: number(MOST_ALARMS) }));
    fill(this.alarms, alarms.length ? alarms.map((each) => this.alarm(each)) : make("li", { class: "note" }, say("coils.noAlarms")), cut);
  }

  async see(ids) {
    try {
      for (const id of ids) await request("POST", `/v1/alarms/${id}/seen`);
    } catch (fault) {
      notify(fault.message || say("sync.away"), "bad");
    }
    await this.showAlarms();
  }

  /** What raised it, in words: how many, how much, or which roll. */
  why(about) {
    const name = about.class ?? say("coils.anyClass");
    if (about.kind === "count") return say("coils.why.count", { n: number(about.defects), metres: number(about.metres), name });
    if (about.kind === "share") return say("coils.why.share", { share: percent(about.share), name });
    const words = say("coils.why.periodic", { n: number(about.marks), spacing: number(about.spacing_m, 2), across: number(about.across_m, 2) });
    return about.roll ? `${words}: ${about.roll}` : words;
  }

  alarm(each) {
    const where = [each.coil, each.position_m !== null && `${number(each.position_m, 1)} m`, time(each.created)].filter(Boolean).join(" · ");
    const open = each.answer && make("a", { class: "button", href: `#review/${each.answer}` }, say("coils.open"));
    const may = this.app.user.role !== "viewer";
    return make("li", {}, make("strong", {}, each.rule), make("span", {}, this.why(each.about)), make("span", { class: "when" }, where), open, each.seen !== null ? make("span", { class: "note" }, say("coils.seenBy", { name: each.seen_by, at: time(each.seen) })) : may ? button(say("coils.noted"), () => this.see([each.id]), { class: "quiet" }) : null);
  }
}
