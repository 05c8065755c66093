// The form to sign in.

import { make } from "./dom.js";
import { say } from "./words.js";

/** `enter(name, password)` raises what is wrong. */
export function signInForm(enter) {
  const field = (key, about) => make("label", {}, make("span", {}, say(`session.${key}`)), make("input", { id: key, name: key, required: true, ...about }));
  const fault = make("p", { class: "fault", role: "alert" });
  const submit = make("button", { class: "main", type: "submit" }, say("session.enter"));
  const form = make("form", { class: "card sign-in" }, make("h1", {}, say("session.title")), field("name", { autocomplete: "username" }), field("password", { type: "password", autocomplete: "current-password" }), fault, submit);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    submit.disabled = true;
    fault.textContent = "";
    try {
      await enter(form.elements.name.value, form.elements.password.value);
    } catch (error) {
      fault.textContent = error.status === 401 ? say("session.wrong") : error.status === 0 ? say("sync.away") : error.message;
    } finally {
      submit.disabled = false;
    }
  });
  return form;
}
