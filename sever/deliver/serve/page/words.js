// What the page says, in the language that its user chose; a language is one plain file of words.

const LANGUAGES = { en: "English", de: "Deutsch" };
let words = {};
let language = "en";
let locale = "en";

export { LANGUAGES };

export async function load(wanted) {
  language = wanted in LANGUAGES ? wanted : "en";
  locale = navigator.languages.find((each) => each.startsWith(language)) ?? language;
  const response = await fetch(`/page/${language}.json`);
  words = await response.json();
  document.documentElement.lang = language;
}

/** say("queue.count", {n: 3}): the words with their blanks filled in. */
export function say(key, blanks = {}) {
  const text = words[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => blanks[name] ?? "");
}

export const chosen = () => language;

export function number(value, digits = 0) {
  return new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

export function percent(share) {
  return new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 }).format(share);
}

/** For the axis of a chart: 2.5, 500K. */
export function short(value) {
  const notation = value < 10000 ? "standard" : "compact";
  return new Intl.NumberFormat(locale, { maximumSignificantDigits: 3, notation }).format(value);
}

/** A moment on the axis of a chart: the time of day where all of it is within a day, else the date. */
export function tick(seconds, span) {
  const form = span <= 24 * 3600 ? { timeStyle: "short" } : { dateStyle: "short" };
  return new Intl.DateTimeFormat(locale, form).format(new Date(seconds * 1000));
}

export function time(seconds) {
  const form = { dateStyle: "short", timeStyle: "medium" };
  return new Intl.DateTimeFormat(locale, form).format(new Date(seconds * 1000));
}
