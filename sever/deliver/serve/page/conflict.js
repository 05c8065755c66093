// Somebody else was quicker: says who saved what, keeps both, and lets the reviewer decide.

import { button, dialog, make } from "./dom.js";
import { byClass } from "./runs.js";
import { say, time } from "./words.js";

export function askAboutConflict(desk, saving) {
  const newest = desk.versions.at(-1);
  const facts = { author: newest?.author, version: newest?.version, verdict: say(`verdict.${newest?.verdict}`), at: time(newest?.created ?? 0) };
  const mine = say("conflict.mine", { verdict: say(`verdict.${saving.body.verdict}`), base: saving.body.base });
  const showMine = say("conflict.showMine");
  const hasMasks = saving.body.verdict === "corrected";
  const end = async (close) => {
    await desk.outbox.forget(saving.key);
    close();
  };
  const buttons = (close) => [
    hasMasks && button(showMine, () => (close(), compare(desk, saving)), { id: "conflict-mine" }),
    button(say("conflict.drop"), async () => (await end(close), desk.open(desk.answer.id)), { id: "conflict-drop" }),
    button(say("conflict.over"), async () => (await end(close), saveOver(desk, saving)), { id: "conflict-over", class: "main" }),
  ];
  const content = [make("p", { id: "conflict-who" }, say("conflict.who", facts)), make("p", {}, mine), make("p", { class: "note" }, say("conflict.kept"))];
  return dialog(say("conflict.title"), content, (close) => buttons(close).filter(Boolean));
}

/** Both on the picture, one after the other, with the question asked again after it. */
function compare(desk, saving) {
  const theirs = byClass(desk.versions.at(-1).masks);
  let isMine = false;
  const show = () => {
    isMine = !isMine;
    showMasks(desk, isMine ? byClass(saving.body.masks) : theirs);
    swap.firstChild.textContent = say(isMine ? "conflict.showTheirs" : "conflict.showMine");
    words.textContent = say(isMine ? "conflict.nowMine" : "conflict.nowTheirs");
  };
  const words = make("span");
  const swap = button("", show, { id: "conflict-swap" });
  const back = button(say("conflict.decide"), () => {
    bar.remove();
    showMasks(desk, theirs);
    askAboutConflict(desk, saving);
  }, { class: "main", id: "conflict-decide" });
  const bar = make("div", { class: "bar", role: "group", "aria-label": say("conflict.title") }, words, swap, back);
  desk.canvas.before(bar);
  show();
}

function showMasks(desk, masks) {
  desk.draft.replace(masks);
  desk.draft.done = [];
  desk.redraw(desk.draft.names);
}

function saveOver(desk, saving) {
  return desk.judge(saving.body.verdict, { base: desk.answer.version, masks: byClass(saving.body.masks), isMeant: true });
}
