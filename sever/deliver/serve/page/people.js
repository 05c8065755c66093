// For admins: who may come in, people by password and machines by key, and the trail of what was done.

import { get, request, withQuery } from "./api.js";
import { button, dialog, fill, make } from "./dom.js";
import { notify } from "./notices.js";
import { newPassword } from "./password.js";
import { say, time } from "./words.js";

const ROLES = ["viewer", "reviewer", "admin"];
const NAME = { maxlength: 100, pattern: "[A-Za-z0-9][A-Za-z0-9 ._@\\-]*", required: true, autocomplete: "off" };
const TRAIL = 50;

export class People {
  constructor(app) {
    this.app = app;
    this.users = make("ul", { class: "people", id: "users" });
    this.keys = make("ul", { class: "people", id: "keys" });
    this.trail = make("tbody", {});
    this.more = button(say("queue.more"), () => this.showTrail(this.last), { class: "quiet" });
    const head = ["when", "who", "what", "about"].map((key) => make("th", { scope: "col" }, say(`trail.${key}`)));
    this.element = make(
      "div",
      { class: "page" },
      make("h1", {}, say("nav.people")),
      make("section", { class: "card" }, make("h2", {}, say("people.users")), make("p", { class: "note" }, say("people.roles")), this.users, this.addUser()),
      make("section", { class: "card" }, make("h2", {}, say("people.keys")), make("p", { class: "note" }, say("people.aboutKeys")), this.keys, this.addKey()),
      make("section", { class: "card" }, make("h2", {}, say("trail.title")), make("p", { class: "note" }, say("trail.note")), make("div", { class: "wide", tabindex: 0, role: "region", "aria-label": say("trail.title") }, make("table", { class: "trail" }, make("thead", {}, make("tr", {}, head)), this.trail)), this.more),
    );
  }

  stop() {}

  async start() {
    const [users, keys] = await Promise.all([get("/v1/users"), get("/v1/keys")]);
    fill(this.users, inUse(users).map((each) => this.user(each)), ended(users));
    fill(this.keys, inUse(keys).map((each) => this.key(each)), ended(keys));
    fill(this.trail);
    await this.showTrail();
  }

  user(each) {
    const path = `/v1/users/${encodeURIComponent(each.name)}`;
    const isSelf = each.name === this.app.user.name;
    const role = roles(each.role, say("people.roleOf", { name: each.name }));
    role.disabled = isSelf; // who would shut himself out of this page
    role.addEventListener("change", () => this.change("PUT", `${path}/role`, { role: role.value }));
    const password = isSelf ? null : button(say("people.newPassword"), () => this.givePassword(each.name, path), { class: "quiet" });
    const end = isSelf ? null : button(say("people.end"), () => this.end(each.name, path, "people.endUser"), { class: "bad" });
    return this.row(each, role, password, end);
  }

  key(each) {
    const path = `/v1/keys/${encodeURIComponent(each.name)}`;
    return this.row(each, make("span", {}, say(`role.${each.role}`)), button(say("people.end"), () => this.end(each.name, path, "people.endKey"), { class: "bad" }));
  }

  row(each, ...rest) {
    return make("li", { class: "row", "data-name": each.name }, make("div", {}, make("strong", {}, each.name), make("p", { class: "note" }, say("people.since", { at: time(each.created) }))), rest);
  }

  addUser() {
    const password = make("input", { id: "new-user-password", minlength: 10, maxlength: 200, required: true, autocomplete: "off", value: newPassword() });
    const name = make("input", { id: "new-user", ...NAME });
    const role = roles("reviewer", say("people.role"), "new-user-role");
    const clear = () => ([name.value, password.value] = ["", newPassword()]); // nobody else gets the same one
    const add = () => this.change("POST", "/v1/users", { name: name.value, password: password.value, role: role.value }, clear);
    return adding("people.addUser", add, field("session.name", name), field("session.password", password), field("people.role", role));
  }

  addKey() {
    const name = make("input", { id: "new-key", ...NAME });
    const role = roles("reviewer", say("people.role"), "new-key-role");
    const add = async () => {
      const made = await this.change("POST", "/v1/keys", { name: name.value, role: role.value });
      if (made) this.showOnce(name.value, (await made.json()).key);
      if (made) name.value = "";
    };
    return adding("people.addKey", add, field("session.name", name), field("people.role", role));
  }

  /** A key is kept nowhere but as a digest. */
  showOnce(name, key) {
    const shown = make("input", { id: "key-once", readonly: true, value: key, "aria-label": say("people.keyOf", { name }) });
    const box = dialog(say("people.keyOf", { name }), [make("p", {}, say("people.once")), shown], (close) => [button(say("key.shut"), close, { class: "main" })]);
    box.querySelector("input").select();
  }

  givePassword(name, path) {
    const password = make("input", { id: "given-password", minlength: 10, maxlength: 200, value: newPassword(), "aria-label": say("session.password"), autocomplete: "off" });
    const give = async (close) => {
      if (password.reportValidity() && (await this.change("PUT", `${path}/password`, { password: password.value }))) close();
    };
    dialog(say("people.passwordOf", { name }), [make("p", {}, say("people.passwordAbout")), password], (close) => [button(say("people.keep"), close), button(say("people.newPassword"), () => give(close), { class: "main", id: "give-password" })]);
  }

  end(name, path, words) {
    const really = async (close) => {
      close();
      await this.change("DELETE", path);
    };
    dialog(say("people.endOf", { name }), [make("p", {}, say(words))], (close) => [button(say("people.keep"), close), button(say("people.end"), () => really(close), { class: "bad", id: "end-it" })]);
  }

  /** `done`: what is to happen before the lists are read anew. */
  async change(method, path, body = null, done = () => {}) {
    let answer = null;
    try {
      answer = await request(method, path, body);
      done();
      notify(say("people.done"), "good");
    } catch (fault) {
      notify(fault.status === 0 ? say("sync.away") : fault.message, "bad");
    }
    await this.start().catch(() => null); // the fault was shown
    return answer;
  }

  async showTrail(before = null) {
    const entries = await get(withQuery("/v1/audit", { limit: TRAIL, before }));
    this.trail.append(...entries.map((each) => make("tr", {}, make("td", {}, time(each.at)), make("td", {}, each.actor || "–"), make("td", {}, say(`trail.${each.action}`)), make("td", {}, [each.subject, ...told(each.about)].filter(Boolean).join(" · ")))));
    this.last = entries.at(-1)?.id;
    this.more.hidden = entries.length < TRAIL;
  }
}

const inUse = (all) => all.filter((each) => each.ended === null);

function ended(all) {
  const names = all.filter((each) => each.ended !== null).map((each) => each.name);
  return names.length ? make("li", { class: "note" }, say("people.ended", { names: names.join(", ") })) : null;
}

/** What an entry says besides its subject, without nested values, which are for the API's readers. */
function told(about) {
  return Object.entries(about).filter(([, value]) => value !== "" && typeof value !== "object").map(([key, value]) => `${key} ${String(value).slice(0, 40)}`);
}

function roles(chosen, label, id = null) {
  const list = make("select", { id, "aria-label": label }, ROLES.map((value) => make("option", { value }, say(`role.${value}`))));
  list.value = chosen;
  return list;
}

function field(words, input) {
  return make("label", {}, make("span", {}, say(words)), input);
}

function adding(words, add, ...fields) {
  const submit = make("button", { type: "submit", class: "main" }, say(words));
  return make("form", { class: "adding", onsubmit: (event) => (event.preventDefault(), add()) }, fields, submit);
}
