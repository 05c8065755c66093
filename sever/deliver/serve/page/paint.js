// What the tools do to a mask: pure functions on a Uint8Array of 0 and 1, row after row; they return whether it changed.
// A pixel (x, y) covers x..x+1 and y..y+1; nothing is ever half set.

/** A round brush of `radius` pixels drawn from one pixel to another; a radius of 0 sets the pixels of the line. */
export function stroke(mask, height, width, from, to, radius, value) {
  const steps = Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y), 1);
  let changed = false;
  for (let step = 0; step <= steps; step++) {
    const x = Math.round(from.x + ((to.x - from.x) * step) / steps);
    const y = Math.round(from.y + ((to.y - from.y) * step) / steps);
    changed = disc(mask, height, width, x, y, radius, value) || changed;
  }
  return changed;
}

function disc(mask, height, width, x, y, radius, value) {
  let changed = false;
  for (let row = Math.max(0, y - radius); row <= Math.min(height - 1, y + radius); row++) {
    const reach = Math.floor(Math.sqrt(radius * radius - (row - y) * (row - y)));
    const [left, right] = [Math.max(0, x - reach), Math.min(width - 1, x + reach)];
    for (let at = row * width + left; at <= row * width + right; at++) {
      changed ||= mask[at] !== value;
      mask[at] = value;
    }
  }
  return changed;
}

/** Pixels whose centre lies in the polygon (even-odd). */
export function polygon(mask, height, width, points, value) {
  let changed = false;
  for (let y = 0; y < height; y++) {
    const crossings = crossingsAt(points, y + 0.5);
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const [left, right] = [Math.ceil(crossings[pair] - 0.5), Math.ceil(crossings[pair + 1] - 0.5)];
      for (let x = Math.max(0, left); x < Math.min(width, right); x++) {
        changed ||= mask[y * width + x] !== value;
        mask[y * width + x] = value;
      }
    }
  }
  return changed;
}

function crossingsAt(points, y) {
  const found = [];
  points.forEach((a, index) => {
    const b = points[(index + 1) % points.length];
    if (a.y <= y !== b.y <= y) found.push(a.x + ((y - a.y) * (b.x - a.x)) / (b.y - a.y));
  });
  return found.sort((left, right) => left - right);
}

/** The connected region round (x, y) in which `belongs(index)` holds, as indices. Corners connect where `corners`. */
export function region(height, width, x, y, belongs, corners) {
  const seen = new Uint8Array(height * width);
  const found = [];
  const add = (column, row) => {
    const at = row * width + column;
    if (column < 0 || row < 0 || column >= width || row >= height || seen[at] || !belongs(at)) return;
    seen[at] = 1;
    found.push(at);
  };
  add(x, y);
  for (let next = 0; next < found.length; next++) {
    const [column, row] = [found[next] % width, Math.floor(found[next] / width)];
    for (const [dx, dy] of corners ? AROUND : BESIDE) add(column + dx, row + dy);
  }
  return found;
}

const BESIDE = [[1, 0], [-1, 0], [0, 1], [0, -1]];
const AROUND = [...BESIDE, [1, 1], [1, -1], [-1, 1], [-1, -1]];

/** The hole round (x, y): what is not set and connected. */
export function fillHole(mask, height, width, x, y) {
  const found = region(height, width, x, y, (at) => mask[at] === 0, false);
  for (const at of found) mask[at] = 1;
  return found.length > 0;
}

/** What is connected with (x, y) and as probable, less `tolerance` levels of 255. */
export function wand(mask, height, width, x, y, levels, tolerance) {
  const least = Math.max(1, levels[y * width + x] - tolerance);
  const found = region(height, width, x, y, (at) => levels[at] >= least, true);
  const changed = found.some((at) => mask[at] === 0);
  for (const at of found) mask[at] = 1;
  return changed;
}

/** Everything at or above `level` of 255, in connected parts of at least `leastArea` pixels. */
export function threshold(levels, height, width, level, leastArea) {
  const mask = new Uint8Array(levels.length);
  const done = new Uint8Array(levels.length);
  for (let at = 0; at < levels.length; at++) {
    if (done[at] || levels[at] < level) continue;
    const part = part8(levels, done, height, width, at, level);
    if (part.length >= leastArea) for (const each of part) mask[each] = 1;
  }
  return mask;
}

function part8(levels, done, height, width, start, level) {
  const part = [start];
  done[start] = 1;
  for (let next = 0; next < part.length; next++) {
    const [x, y] = [part[next] % width, Math.floor(part[next] / width)];
    for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
      for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
        const at = row * width + column;
        if (done[at] || levels[at] < level) continue;
        done[at] = 1;
        part.push(at);
      }
    }
  }
  return part;
}

/** The border of a mask along the edges of its pixels, as straight pieces [x0, y0, x1, y1]. */
export function outline(mask, height, width) {
  const pieces = [];
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? 0 : mask[y * width + x]);
  for (let y = 0; y <= height; y++) {
    for (let x = 0, start = -1; x <= width; x++) {
      const isEdge = x < width && at(x, y - 1) !== at(x, y);
      if (isEdge && start < 0) start = x;
      if (!isEdge && start >= 0) start = (pieces.push([start, y, x, y]), -1);
    }
  }
  for (let x = 0; x <= width; x++) {
    for (let y = 0, start = -1; y <= height; y++) {
      const isEdge = y < height && at(x - 1, y) !== at(x, y);
      if (isEdge && start < 0) start = y;
      if (!isEdge && start >= 0) start = (pieces.push([x, start, x, y]), -1);
    }
  }
  return pieces;
}
