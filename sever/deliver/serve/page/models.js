// Which model answers; for admins: put another one in service, go back, let one answer along.

import { get, request } from "./api.js";
import { Comparison } from "./comparison.js";
import { button, fill, make } from "./dom.js";
import { notify } from "./notices.js";
import { number, say } from "./words.js";

export class ModelsPage {
  constructor(app) {
    this.app = app;
    this.body = make("div", { id: "models" });
    this.comparison = new Comparison(app.user.role === "admin" ? (name) => this.ask("current", { name }) : null);
    this.element = make("div", { class: "page" }, make("h1", {}, say("nav.models")), this.body, this.comparison.element);
  }

  stop() {
    this.comparison.stop();
  }

  async start() {
    this.comparison.show();
    const [state, shadow] = await Promise.all([get("/v1/models"), get("/v1/models/shadow")]);
    const isAdmin = this.app.user.role === "admin";
    const row = (key, model, ...buttons) => make("div", { class: "card row" }, make("div", {}, make("p", { class: "note" }, say(`models.${key}`)), make("h2", {}, model?.name ?? "–"), model ? make("code", {}, model.identity.slice(0, 12)) : null), buttons);
    const back = isAdmin && state.previous ? button(say("models.back"), () => this.ask("rollback"), { class: "bad", id: "rollback" }) : null;
    const end = isAdmin && state.shadow ? button(say("models.endShadow"), () => this.ask("shadow", { name: null }), { class: "quiet" }) : null;
    fill(
      this.body,
      row("current", state.current),
      state.previous && row("previous", state.previous, back),
      state.shadow && row("shadow", state.shadow, state.shadow ? make("p", {}, say("models.differs", { differing: number(shadow.differing), compared: number(shadow.compared) })) : null, end),
      this.differences(shadow),
      isAdmin ? make("section", {}, make("h2", {}, say("models.available")), state.available.map((name) => this.choice(name))) : null,
    );
  }

  differences(shadow) {
    if (!shadow.differences.length) return null;
    return make("ul", { class: "alarms" }, shadow.differences.slice(0, 20).map((each) => make("li", {}, make("a", { href: `#review/${each.answer}` }, each.answer.slice(0, 8)))));
  }

  choice(name) {
    return make("div", { class: "card row" }, make("strong", {}, name), button(say("models.compare"), () => this.comparison.begin(name), { class: "main", "data-compare": name }), button(say("models.take"), () => this.ask("current", { name }), { class: "quiet" }), button(say("models.along"), () => this.ask("shadow", { name }), { class: "quiet" }));
  }

  async ask(what, body = null) {
    try {
      await request("POST", `/v1/models/${what}`, body);
    } catch (fault) {
      notify(fault.message, "bad");
    }
    await this.start();
  }
}
