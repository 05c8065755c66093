// Savings on their way: each is kept in this browser first, then sent until the service has it; a conflict waits for
// its author. The same key goes along each time, so that the service keeps one that is sent twice only once.

import { request, session } from "./api.js";
import * as local from "./local.js";

const AGAIN_MS = 3000;

export class Outbox {
  /** `told(state)` hears of every change; `conflict(saving)` of one that somebody else was quicker than. */
  constructor(user, told, conflict) {
    this.user = user;
    this.told = told;
    this.conflict = conflict;
    this.busy = null;
    this.isReachable = true;
    this.timer = setInterval(() => this.send(), AGAIN_MS);
    this.wake = () => this.send();
    addEventListener("online", this.wake);
  }

  stop() {
    clearInterval(this.timer);
    removeEventListener("online", this.wake);
  }

  /** Returns the saving once it was tried: `state` is sent, waiting, conflict or refused. */
  async add(answer, body) {
    const saving = { key: local.newKey(), user: this.user, id: answer.id, name: answer.name, body, at: Date.now() };
    await local.put("outbox", { ...saving, state: "waiting" });
    await this.send();
    await this.send(); // the first call may have joined one that began before
    const kept = await local.take("outbox", saving.key);
    return kept ?? { ...saving, state: "sent" };
  }

  async own() {
    return (await local.all("outbox")).filter((each) => each.user === this.user).sort((a, b) => a.at - b.at);
  }

  async of(id) {
    return (await this.own()).filter((each) => each.id === id);
  }

  async forget(key) {
    await local.drop("outbox", key);
    await this.tell();
  }

  send() {
    this.busy ??= this.sendAll().finally(() => (this.busy = null));
    return this.busy;
  }

  async sendAll() {
    for (const saving of (await this.own()).filter((each) => each.state === "waiting")) {
      if (!(await this.sendOne(saving))) break;
    }
    await this.tell();
  }

  async sendOne(saving) {
    try {
      await request("POST", `/v1/answers/${saving.id}/corrections`, saving.body, { "idempotency-key": saving.key });
      this.isReachable = true;
      await local.drop("outbox", saving.key);
    } catch (fault) {
      this.isReachable = fault.status !== 0;
      if (fault.message.includes("X-CSRF-Token")) await this.renew();
      if (fault.mayPass || fault.status === 401 || fault.message.includes("X-CSRF-Token")) return false;
      const kept = { ...saving, state: fault.status === 409 ? "conflict" : "refused", fault: fault.message };
      await local.put("outbox", kept);
      if (fault.status === 409) this.conflict(kept);
    }
    return true;
  }

  /** Another window signed in anew: with the same name this one goes on, with another it sends nothing of this user's. */
  async renew() {
    const who = await session().catch(() => null);
    if (who && who.name !== this.user) location.reload();
  }

  async tell() {
    const own = await this.own();
    const waiting = own.filter((each) => each.state === "waiting");
    const held = own.filter((each) => each.state !== "waiting");
    this.told({ waiting, held, isReachable: this.isReachable });
  }
}
