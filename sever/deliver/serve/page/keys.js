// The keyboard: one table of keys, which the cheat sheet shows as it is.

import { button, dialog, make } from "./dom.js";
import { TOOLS } from "./tools.js";
import { say } from "./words.js";

/** Each entry: keys, the words' key, what it does. Letters work in either case; `ctrl` means Ctrl or Command. */
export function reviewKeys(desk) {
  const tools = Object.entries(TOOLS).map(([kind, key]) => [[key], `tool.${kind}`, () => desk.toolbar.use(kind)]);
  return [
    [["a"], "judge.accepted", () => desk.judge("accepted")],
    [["r"], "judge.rejected", () => desk.judge("rejected")],
    [["s", "ctrl+s"], "judge.corrected", () => desk.judge("corrected")],
    [["n", "ArrowRight"], "key.next", () => desk.go(1)],
    [["p", "ArrowLeft"], "key.previous", () => desk.go(-1)],
    ...tools,
    [["1…9"], "key.class", null],
    [["m"], "key.part", () => selectNext(desk)],
    [["Delete", "Backspace"], "select.remove", () => desk.tools.remove()],
    [["Enter"], "key.close", () => desk.tools.close()],
    [["Escape"], "key.cancel", () => cancel(desk)],
    [["z", "ctrl+z"], "tool.undo", () => desk.undo()],
    [["y", "ctrl+y", "ctrl+shift+z"], "tool.redo", () => desk.undo(true)],
    [["["], "key.smaller", () => desk.toolbar.setRadius(desk.tools.radius - 1)],
    [["]"], "key.larger", () => desk.toolbar.setRadius(desk.tools.radius + 1)],
    [["c"], "viewer.raw", () => desk.toolbar.toggle("isRaw")],
    [["x"], "viewer.beside", () => desk.toolbar.toggle("isBeside")],
    [["+"], "zoom.in", () => desk.viewer.zoom(1.25)],
    [["-"], "zoom.out", () => desk.viewer.zoom(0.8)],
    [["0"], "zoom.fit", () => desk.viewer.fit()],
    [["Shift+←↑↓→"], "key.move", null],
    [["?"], "key.sheet", () => showSheet(reviewKeys(desk))],
  ];
}

const MOVES = { ArrowUp: [0, 60], ArrowDown: [0, -60], ArrowLeft: [60, 0], ArrowRight: [-60, 0] };

export function listen(desk) {
  const table = new Map(reviewKeys(desk).flatMap(([keys, , act]) => keys.map((key) => [key.toLowerCase(), act])));
  const pressed = (event) => {
    if (isTyping(event.target) || document.querySelector("dialog[open]")) return;
    if (event.shiftKey && MOVES[event.key]) desk.viewer.move(...MOVES[event.key]);
    else if (/^[1-9]$/.test(event.key) && plain(event)) chooseClass(desk, Number(event.key) - 1);
    else {
      const act = table.get(nameOf(event));
      if (!act || (event.target.closest("button, summary") && event.key === "Enter")) return;
      act();
    }
    event.preventDefault();
  };
  document.addEventListener("keydown", pressed);
  return () => document.removeEventListener("keydown", pressed);
}

function isTyping(element) {
  return element.matches("select, textarea, input:not([type=checkbox], [type=range])");
}

const plain = (event) => !event.ctrlKey && !event.metaKey && !event.altKey;

function nameOf(event) {
  if (event.altKey) return "";
  const control = event.ctrlKey || event.metaKey;
  const shift = control && event.shiftKey ? "shift+" : "";
  return `${control ? "ctrl+" : ""}${shift}${event.key.toLowerCase()}`;
}

function chooseClass(desk, index) {
  const name = desk.draft?.names[index];
  if (name) desk.choose(name);
}

/** The next connected part of any mask, so that a defect can be relabelled or removed without a mouse. */
function selectNext(desk) {
  if (!desk.draft) return;
  const { selected } = desk.tools;
  const parts = desk.tools.parts();
  const at = parts.findIndex((part) => part.name === selected?.name && part.pixels.includes(selected.pixels[0]));
  desk.tools.selected = parts.length ? parts[(at + 1) % parts.length] : null;
  desk.selectionChanged();
}

function cancel(desk) {
  desk.tools.cancel();
  desk.tools.selected = null;
  if (desk.draft) desk.selectionChanged();
}

const SIGNS = { ArrowRight: "→", ArrowLeft: "←", ArrowUp: "↑", ArrowDown: "↓", Delete: "Del", Backspace: "⌫", Escape: "Esc", ctrl: "Ctrl", shift: "Shift" };

function shown(key) {
  if (key === "+") return key;
  return key.split("+").map((part) => SIGNS[part] ?? (part.length === 1 ? part.toUpperCase() : part)).join(" ");
}

export function showSheet(keys) {
  const rows = keys.map(([names, words]) =>
    make("div", {}, make("dt", {}, names.map((name) => make("kbd", {}, shown(name)))), make("dd", {}, say(words))),
  );
  const close = (end) => [button(say("key.shut"), end, { class: "main" })];
  dialog(say("key.title"), [make("dl", { class: "sheet", id: "sheet" }, rows), make("p", { class: "note" }, say("key.touch"))], close);
}
