// A key template: which bits of the PHV words a table compares, packed into the words of its key.

import { countBits, PHV_WORDS } from './phv.ts';

export class KeyTemplate {
  /** Bits that may be compared. */
  readonly mask: Uint32Array;
  /** Bits that cost room: those of the mask that the parser has not told apart. */
  readonly keyBits: number;
  /** All bits of the mask. */
  readonly totalBits: number;
  /** Words of a packed key. */
  readonly keyWords: number;
  private readonly words: Int32Array;

  constructor(mask: Uint32Array, implied: Uint32Array) {
    this.mask = mask;
    this.keyBits = countBits(mask.map((word, i) => word & ~implied[i]));
    this.totalBits = countBits(mask);
    const words: number[] = [];
    for (let i = 0; i < PHV_WORDS; i++) if (mask[i] !== 0) words.push(i);
    if (words.length === 0) words.push(0);
    this.words = Int32Array.from(words);
    this.keyWords = words.length;
  }

  /** First PHV word with a bit outside the template, −1 for none. */
  strangerIn(mask: Uint32Array): number {
    return mask.findIndex((word, i) => (word & ~this.mask[i]) !== 0);
  }

  /** First PHV word with a bit of the template that is not compared, −1 for none. */
  openIn(mask: Uint32Array): number {
    return this.mask.findIndex((word, i) => (word & ~mask[i]) !== 0);
  }

  /** Packs the compared bits of PHV words into `out`. */
  pack(phv: Uint32Array, out: Uint32Array): void {
    const { words, mask } = this;
    for (let i = 0; i < words.length; i++) out[i] = phv[words[i]] & mask[words[i]];
  }

  /** Length of a mask that is a prefix of the key, word after word; −1 for another one. */
  prefixLength(mask: Uint32Array): number {
    let length = 0;
    let isOpen = false;
    for (const word of this.words)
      for (let bit = 31; bit >= 0; bit--) {
        if (((this.mask[word] >>> bit) & 1) === 0) continue;
        const isSet = ((mask[word] >>> bit) & 1) === 1;
        if (isSet && isOpen) return -1;
        if (isSet) length++;
        else isOpen = true;
      }
    return length;
  }
}
