// SPDX-License-Identifier: Apache-2.0
// Byte strings: JavaScript strings with one character (0 to 255) per byte.
//
// File names are bytes, not text. Kept this way they compare in byte order with `<`, serve as Map keys, and
// come back exactly, whatever their encoding.

/** The bytes of `source` from `start` to `end` as a byte string. */
export function bytesToString(source: Uint8Array, start: number = 0, end: number = source.length): string {
  let text = "";
  for (let at = start; at < end; at += 4096) {
    text += String.fromCharCode(...source.subarray(at, Math.min(at + 4096, end)));
  }
  return text;
}

/** The bytes of a byte string. Precondition: no character above 255. */
export function stringToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** Text as the byte string of its UTF-8 form. */
export function utf8ToByteString(text: string): string {
  return bytesToString(new TextEncoder().encode(text));
}

/** A byte string that holds UTF-8, as text (for messages). */
export function byteStringToUtf8(text: string): string {
  return new TextDecoder("utf-8").decode(stringToBytes(text));
}
