// SPDX-License-Identifier: Apache-2.0
// Byte strings: JavaScript strings with one character (0 to 255) per byte.
//
// File names are bytes, not text. Kept this way they compare in byte order with `<`, serve as Map keys, and
// come back exactly, whatever their encoding.

/** Characters that are made in one call. */
const PIECE = 4096;

/** The bytes of `source` from `start` to `end` as a byte string. */
export function bytesToString(source: Uint8Array, start: number = 0, end: number = source.length): string {
  if (end - start <= PIECE) return piece(source, start, end);
  let text = "";
  for (let at = start; at < end; at += PIECE) text += piece(source, at, Math.min(at + PIECE, end));
  return text;
}

/** By apply: spreading a typed array goes through its iterator and takes four times as long. */
function piece(source: Uint8Array, start: number, end: number): string {
  return String(Reflect.apply(String.fromCharCode, undefined, source.subarray(start, end)));
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** The bytes of a byte string. Precondition: no character above 255. */
export function stringToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes;
}

/** Text as the byte string of its UTF-8 form. */
export function utf8ToByteString(text: string): string {
  if (isAscii(text)) return text;
  return bytesToString(new TextEncoder().encode(text));
}

/** A byte string that holds UTF-8, as text (for messages). */
export function byteStringToUtf8(text: string): string {
  if (isAscii(text)) return text;
  return new TextDecoder("utf-8").decode(stringToBytes(text));
}
