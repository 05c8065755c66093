// Small charts as SVG: lines and stacked columns over time, with their numbers in a table for those who can't see them.

import { make } from "./dom.js";
import { number, say, short, tick, time } from "./words.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [400, 200, 62, 28, 12];

/** `series`: [{name, colour, values}], a value for each of `times` (null: nothing to show). */
export function chart(title, about, times, series, { stacked = false, digits = 0 } = {}) {
  const sums = stacked ? times.map((_, at) => series.reduce((sum, each) => sum + (each.values[at] ?? 0), 0)) : series.flatMap((each) => each.values);
  const most = niceAbove(Math.max(...sums.filter((value) => value !== null), 0));
  const scale = { x: (at) => LEFT + ((at + 0.5) / times.length) * (WIDTH - LEFT - 8), y: (value) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - TOP) };
  const drawn = stacked ? columns(times, series, scale) : series.map((each) => line(each, scale));
  const svg = make("svg:svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title}. ${about}` }, axes(times, most, scale), drawn);
  const legend = series.length > 1 ? make("ul", { class: "legend" }, series.map((each) => make("li", {}, key(each.colour), each.name))) : null;
  return make("figure", { class: "card" }, make("figcaption", {}, make("strong", {}, title), about), svg, legend, table(title, times, series, digits));
}

function key(colour) {
  const element = make("i", { class: "swatch" });
  element.style.background = colour;
  return element;
}

function axes(times, most, scale) {
  const levels = [0, 0.5, 1].map((share) => share * most);
  const lines = levels.flatMap((level) => [
    make("svg:line", { class: level ? "grid" : "axis", x1: LEFT, x2: WIDTH - 8, y1: scale.y(level), y2: scale.y(level) }),
    make("svg:text", { class: "tick end", x: LEFT - 6, y: scale.y(level) + 5 }, short(level)),
  ]);
  const ends = [[0, "start"], [times.length - 1, "end"]];
  const dates = ends.map(([at, anchor]) => make("svg:text", { class: `tick ${anchor}`, x: anchor === "end" ? WIDTH - 8 : LEFT, y: HEIGHT - 6 }, tick(times[at], times.at(-1) - times[0])));
  return [...lines, ...dates];
}

function line({ values, colour, dashed }, scale) {
  const parts = [];
  let open = [];
  values.forEach((value, at) => {
    if (value === null) {
      if (open.length) parts.push(open);
      open = [];
    } else open.push([scale.x(at), scale.y(value)]);
  });
  if (open.length) parts.push(open);
  return parts.map((points) =>
    points.length === 1
      ? make("svg:circle", { cx: points[0][0], cy: points[0][1], r: 3, fill: colour })
      : make("svg:polyline", { points: points.map((each) => each.join(",")).join(" "), stroke: colour, class: "line", "stroke-dasharray": dashed ? "5 4" : null }),
  );
}

function columns(times, series, scale) {
  const width = Math.max(1, scale.x(1) - scale.x(0) - 2);
  return times.flatMap((_, at) => {
    let below = 0;
    return series.map(({ values, colour }) => {
      const value = values[at] ?? 0;
      const [y, top] = [scale.y(below), scale.y((below += value))];
      return value ? make("svg:rect", { x: scale.x(at) - width / 2, y: top, width, height: y - top, fill: colour }) : null;
    });
  }).filter(Boolean);
}

function table(title, times, series, digits) {
  const head = make("tr", {}, make("th", { scope: "col" }, say("chart.time")), series.map((each) => make("th", { scope: "col" }, each.name)));
  const rows = times.map((each, at) => make("tr", {}, make("th", { scope: "row" }, time(each)), series.map(({ values }) => make("td", {}, values[at] === null ? "–" : number(values[at], digits)))));
  return make("details", {}, make("summary", {}, say("chart.numbers")), make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, make("table", {}, make("thead", {}, head), make("tbody", {}, rows))));
}

function niceAbove(value) {
  if (value <= 0) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((step) => step * unit).find((step) => step >= value);
}
