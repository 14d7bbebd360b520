// SPDX-License-Identifier: Apache-2.0
// Control data of Debian: paragraphs of "Field: value" with folded lines. Source: deb822(5).
//
// Field names are compared without case; a paragraph keeps them as they were written, in order.

/** One paragraph. Values keep their inner newlines and the leading space of continuation lines. */
export class Paragraph {
  readonly #fields = new Map<string, { readonly name: string; readonly value: string }>();

  get(name: string): string | undefined {
    return this.raw(name)?.trimEnd();
  }

  /** As `get`, but with the blanks at the end of the value, if there are any. */
  raw(name: string): string | undefined {
    return this.#fields.get(name.toLowerCase())?.value;
  }

  /** Sets a field, in its old place when it is there already. */
  set(name: string, value: string): void {
    this.#fields.set(name.toLowerCase(), { name, value });
  }

  delete(name: string): void {
    this.#fields.delete(name.toLowerCase());
  }

  fields(): Iterable<{ readonly name: string; readonly value: string }> {
    return this.#fields.values();
  }

  get isEmpty(): boolean {
    return this.#fields.size === 0;
  }

  /** The paragraph as text, without an empty line after it. */
  toString(): string {
    let text = "";
    for (const { name, value } of this.#fields.values()) {
      text += value.startsWith("\n") || value === "" ? `${name}:${value}\n` : `${name}: ${value}\n`;
    }
    return text;
  }
}

/** Every paragraph of `text`, one after the other; comments ("#" in column 0) are passed over. */
export function* paragraphs(text: string): Generator<Paragraph, void, void> {
  let paragraph = new Paragraph();
  let name = "";
  let value = "";
  const endField = (): void => {
    if (name !== "") paragraph.set(name, value);
    name = "";
  };
  let start = 0;
  for (let lineNumber = 1; start < text.length; lineNumber++) {
    let end = text.indexOf("\n", start);
    if (end < 0) end = text.length;
    const line = text.slice(start, end);
    start = end + 1;
    if (line.startsWith("#")) continue;
    if (line.trim() === "") {
      endField();
      if (!paragraph.isEmpty) yield paragraph;
      paragraph = new Paragraph();
    } else if (line.startsWith(" ") || line.startsWith("\t")) {
      if (name === "") throw new Error(`line ${String(lineNumber)}: a continuation without a field`);
      value += `\n${line}`;
    } else {
      endField();
      const colon = line.indexOf(":");
      if (colon <= 0) throw new Error(`line ${String(lineNumber)}: no field name`);
      name = line.slice(0, colon);
      value = line.slice(colon + 1).trimStart();
    }
  }
  endField();
  if (!paragraph.isEmpty) yield paragraph;
}
