// One colour a class, the same as in the pictures that the service draws: colour-blind-safe up to seven.

export const COLOURS = [
  [238, 119, 51],
  [51, 187, 238],
  [240, 228, 66],
  [238, 51, 119],
  [0, 153, 136],
  [0, 119, 187],
  [204, 51, 17],
];

export function colourOf(index) {
  if (index < COLOURS.length) return COLOURS[index];
  const hue = (index * 0.618034) % 1; // steps of the golden angle never come back to a hue they had
  const part = (turn) => {
    const at = (turn + hue * 6) % 6;
    return Math.round(255 * (0.95 - 0.7125 * Math.max(0, Math.min(at, 4 - at, 1))));
  };
  return [part(5), part(3), part(1)];
}

export function swatch(element, index) {
  element.style.background = `rgb(${colourOf(index)})`;
  return element;
}
