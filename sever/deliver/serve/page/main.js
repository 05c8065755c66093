// The page's frame: who is signed in, where he is, his language and light, and what still has to be sent.

import * as api from "./api.js";
import { Coils } from "./coils.js";
import { button, dialog, fill, make } from "./dom.js";
import { listen, reviewKeys, showSheet } from "./keys.js";
import { ModelsPage } from "./models.js";
import { notify } from "./notices.js";
import { Outbox } from "./outbox.js";
import { changeOwnPassword } from "./password.js";
import { People } from "./people.js";
import { Review } from "./review.js";
import { Rules } from "./rules.js";
import { signInForm } from "./sign-in.js";
import { Trends } from "./trends.js";
import * as words from "./words.js";

const { say } = words;
const PLACES = { review: Review, coils: Coils, trends: Trends, rules: Rules, models: ModelsPage, people: People };
const ADMINS = ["people"];
const LIGHTS = ["auto", "light", "dark"];
const darkness = matchMedia("(prefers-color-scheme: dark)");

class App {
  constructor() {
    this.top = document.getElementById("top");
    this.main = document.getElementById("main");
    this.sync = make("button", { type: "button", id: "sync", class: "sync", onclick: () => this.openHeld() });
    this.light = localStorage.getItem("sever.light") ?? "auto";
    this.user = null;
    this.outbox = null;
    addEventListener("hashchange", () => this.follow());
    darkness.addEventListener("change", () => this.showLight());
    api.whenSignedOut(() => this.user && this.signedOut());
  }

  async start() {
    this.showLight();
    const language = localStorage.getItem("sever.language") ?? navigator.language.slice(0, 2);
    await words.load(language);
    try {
      this.user = await api.session();
    } catch {
      notify(say("sync.away"), "bad");
    }
    await (this.user ? this.signedIn(this.user) : this.askForName());
  }

  async signedIn(user) {
    this.user = user;
    this.outbox?.stop();
    this.outbox = new Outbox(user.name, (state) => this.showSync(state), () => {});
    const models = await api.get("/v1/models");
    this.classNames = models.current.class_names;
    this.showTop();
    this.outbox.send();
    await this.follow();
  }

  askForName() {
    this.leave();
    this.showTop();
    const form = signInForm(async (name, password) => this.signedIn(await api.signIn(name, password)));
    fill(this.main, form);
    form.querySelector("input").focus();
  }

  signedOut() {
    this.user = null;
    this.outbox.stop();
    notify(say("session.over"));
    this.askForName();
  }

  /** What the address says: #review/ID, #coils, #trends, #rules, #models, #people. */
  async follow() {
    const [place, id] = location.hash.slice(1).split("/");
    if (!this.user) return;
    if (place === "review" && this.view instanceof Review && id) return void (id !== this.view.answer?.id && (await this.view.open(id)));
    await this.go(this.places().includes(place) ? place : "review", id || null);
  }

  /** Where this user may go. */
  places() {
    return Object.keys(PLACES).filter((place) => this.user.role === "admin" || !ADMINS.includes(place));
  }

  async go(place, id = null, wanted = {}) {
    this.leave();
    this.place = place;
    history.replaceState(null, "", `#${place}${id ? `/${id}` : ""}`);
    this.view = new PLACES[place](this, wanted);
    this.unlisten = place === "review" ? listen(this.view) : null;
    fill(this.main, this.view.element);
    this.main.className = `at-${place}`;
    document.body.className = `with-${place}`;
    this.showTop();
    try {
      await this.view.start(id);
    } catch (fault) {
      if (fault.status !== 401) notify(fault.status === 0 ? say("sync.away") : fault.message, "bad");
    }
  }

  leave() {
    this.unlisten?.();
    this.view?.stop();
    this.view = this.unlisten = null;
    this.main.className = "";
    document.body.className = "";
  }

  showTop() {
    const link = (place) => make("a", { href: `#${place}`, "aria-current": this.place === place ? "page" : null }, say(`nav.${place}`));
    const languages = make("select", { id: "language", "aria-label": say("top.language"), onchange: (event) => this.speak(event.target.value) }, Object.entries(words.LANGUAGES).map(([value, name]) => make("option", { value }, name)));
    languages.value = words.chosen();
    const lights = make("select", { id: "light", "aria-label": say("top.light"), onchange: (event) => this.setLight(event.target.value) }, LIGHTS.map((value) => make("option", { value }, say(`light.${value}`))));
    lights.value = this.light;
    const keys = this.place === "review" && this.view ? button(say("key.title"), () => showSheet(reviewKeys(this.view)), { class: "quiet", key: "?" }) : null;
    const user = this.user && [this.sync, keys];
    const account = this.user && button(this.user.name, () => this.showAccount(), { class: "quiet", id: "account", "aria-label": say("account.title", { name: this.user.name }) });
    const mark = make("span", { class: "brand" }, make("img", { src: "/page/mark.svg", alt: "", width: 26, height: 26 }), "sever");
    const nav = this.user ? make("nav", { "aria-label": say("top.nav") }, this.places().map(link)) : null;
    fill(this.top, mark, nav, make("div", { class: "tools" }, user ?? [], languages, lights, account));
  }

  showAccount() {
    const { name, role } = this.user;
    const then = (close, act) => () => (close(), act());
    const about = make("p", {}, say("account.role", { role: say(`role.${role}`) }));
    dialog(name, [about], (close) => [
      button(say("key.shut"), close),
      button(say("password.title"), then(close, () => changeOwnPassword(this.user)), { id: "change-password" }),
      button(say("session.leave"), then(close, () => this.signOut()), { class: "main", id: "sign-out" }),
    ]);
  }

  showSync({ waiting, held, isReachable }) {
    const words = held.length ? say("sync.held", { n: held.length }) : waiting.length ? say("sync.waiting", { n: waiting.length }) : say("sync.saved");
    this.sync.textContent = isReachable ? words : `${say("sync.away")} ${waiting.length ? words : ""}`;
    this.sync.dataset.state = held.length ? "held" : !isReachable ? "away" : waiting.length ? "waiting" : "saved";
    this.held = held[0] ?? null;
  }

  openHeld() {
    if (this.held) this.go("review", this.held.id);
    else this.outbox.send();
  }

  async signOut() {
    this.outbox.stop();
    await api.signOut().catch((fault) => notify(fault.message, "bad"));
    this.user = null;
    this.askForName();
  }

  async speak(language) {
    localStorage.setItem("sever.language", language);
    await words.load(language);
    await (this.user ? this.go(this.place, this.view?.answer?.id ?? null, this.view?.queue?.wanted ?? {}) : this.askForName());
    this.outbox?.tell();
  }

  setLight(light) {
    this.light = light;
    localStorage.setItem("sever.light", light);
    this.showLight();
  }

  showLight() {
    const isDark = this.light === "dark" || (this.light === "auto" && darkness.matches);
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
  }
}

new App().start();
