// Changing one's own password, and making up a random one.

import { request, signIn } from "./api.js";
import { button, dialog, make } from "./dom.js";
import { notify } from "./notices.js";
import { say } from "./words.js";

// Without letters and digits that are taken for each other when they are read aloud or written down.
const LETTERS = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH = 16;

/** 92 random bits. */
export function newPassword() {
  const most = 256 - (256 % LETTERS.length);
  let password = "";
  while (password.length < LENGTH) for (const byte of crypto.getRandomValues(new Uint8Array(LENGTH))) if (byte < most && password.length < LENGTH) password += LETTERS[byte % LETTERS.length];
  return password;
}

/** All sessions end with the old password; this one begins again with the new one, so that its user works on. */
export function changeOwnPassword(user) {
  const input = (key, about) => make("input", { id: `own-${key}`, type: "password", required: true, maxlength: 200, ...about });
  const [current, next, again] = [input("current", { autocomplete: "current-password" }), input("new", { autocomplete: "new-password", minlength: 10 }), input("again", { autocomplete: "new-password" })];
  const fault = make("p", { class: "fault", role: "alert" });
  const field = (words, element) => make("label", {}, make("span", {}, say(words)), element);
  const name = make("input", { type: "text", autocomplete: "username", value: user.name, readonly: true, hidden: true, "aria-hidden": "true" });
  const form = make("form", { class: "fields", id: "own-password", onsubmit: (event) => (event.preventDefault(), change()) }, name, field("password.current", current), field("password.new", next), field("password.again", again), fault);
  const box = dialog(say("password.title"), [form], (close) => [button(say("people.keep"), close), make("button", { type: "submit", form: "own-password", class: "main" }, say("password.change"))]);

  async function change() {
    fault.textContent = next.value === again.value ? "" : say("password.differ");
    if (fault.textContent) return;
    try {
      await request("PUT", "/v1/session/password", { current: current.value, password: next.value });
      await signIn(user.name, next.value);
      box.close();
      notify(say("password.changed"), "good");
    } catch (error) {
      fault.textContent = error.status === 403 ? say("password.wrong") : error.status === 0 ? say("sync.away") : error.message;
    }
  }
}
