// Masks and run lengths: "start length ..." with starts from 1, down each column and on to the next.
// A mask here is a Uint8Array of 0 and 1, row after row.

export function decode(runs, height, width) {
  const mask = new Uint8Array(height * width);
  const numbers = runs.trim() ? runs.trim().split(/\s+/).map(Number) : [];
  for (let index = 0; index < numbers.length; index += 2) {
    const start = numbers[index] - 1;
    for (let at = start; at < start + numbers[index + 1]; at++) {
      mask[(at % height) * width + Math.floor(at / height)] = 1;
    }
  }
  return mask;
}

export function encode(mask, height, width) {
  const numbers = [];
  let start = -1;
  for (let x = 0, at = 0; x < width; x++) {
    for (let y = 0; y < height; y++, at++) {
      const isSet = mask[y * width + x] !== 0;
      if (isSet && start < 0) start = at;
      if (!isSet && start >= 0) {
        numbers.push(start + 1, at - start);
        start = -1;
      }
    }
  }
  if (start >= 0) numbers.push(start + 1, height * width - start);
  return numbers.join(" ");
}

export function area(mask) {
  let sum = 0;
  for (let at = 0; at < mask.length; at++) sum += mask[at];
  return sum;
}

/** [{class, runs}, ...] as {class: runs}. */
export function byClass(masks) {
  return Object.fromEntries(masks.map((each) => [each.class, each.runs]));
}
