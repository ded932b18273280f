// What JSON input is made of, and how a fault in it is told.

export type JsonObject = Record<string, unknown>;

/** A fault in JSON input: nft's sentences, the innermost first. */
export class JsonFault extends Error {
  override readonly name = 'JsonFault';
  readonly sentences: string[];

  constructor(sentence: string) {
    super(sentence);
    this.sentences = [sentence];
  }

  /** As nft prints it: the source has no places. */
  render(): string {
    return this.sentences.map((s) => `internal:0:0-0: Error: ${s}\n\n`).join('');
  }
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
