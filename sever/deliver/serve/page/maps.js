// A class's probability map as levels of 0..255, by the model that is in service now.

import { bitmap, withQuery } from "./api.js";

export async function readLevels(answer, name) {
  const image = await bitmap(withQuery(`/v1/answers/${answer.id}/probabilities.png`, { class_name: name }));
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  return Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
}
