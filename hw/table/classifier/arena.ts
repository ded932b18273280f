// The one Int32Array in which a classifier's tree lives: nodes, hash slots and leaves are blocks of words, named by their first
// word's index. Lookups therefore touch one typed array and no object. Freed blocks go to a list per size and are used again;
// sizes up to SMALL_WORDS are rounded to multiples of 4 words, larger ones to powers of two. Nothing is returned to the host
// before the whole arena is dropped (a rebuild makes a new one, classifier.ts).

import { assert } from '../../base/assert.ts';

const GRAIN_WORDS = 4;
const SMALL_WORDS = 2048;
const SMALL_CLASSES = SMALL_WORDS / GRAIN_WORDS + 1;

export class Arena {
  /** The words. Replaced when the arena grows: read it again after every `allocate`. */
  words: Int32Array;
  /** Words handed out and not freed. */
  usedWords = 0;
  /** First word that was never handed out; 0 is no block's name. */
  private end = GRAIN_WORDS;
  /** First free block per size class, 0 for none; a free block's first word names the next. */
  private readonly free = new Int32Array(SMALL_CLASSES + 32);

  constructor(initialWords: number) {
    this.words = new Int32Array(Math.max(1024, initialWords));
  }

  /** A block of at least `wordCount` words, contents unspecified. */
  allocate(wordCount: number): number {
    const size = roundedWords(wordCount);
    const list = sizeClass(size);
    this.usedWords += size;
    const block = this.free[list];
    if (block !== 0) {
      this.free[list] = this.words[block];
      return block;
    }
    const at = this.end;
    if (at + size > this.words.length) this.grow(at + size);
    this.end = at + size;
    return at;
  }

  /** Gives back a block that `allocate(wordCount)` returned. */
  release(block: number, wordCount: number): void {
    const size = roundedWords(wordCount);
    const list = sizeClass(size);
    this.usedWords -= size;
    this.words[block] = this.free[list];
    this.free[list] = block;
  }

  private grow(leastWords: number): void {
    let length = this.words.length;
    while (length < leastWords) length *= 2;
    assert(length <= 0x4000_0000, 'classifier: more than 4 GB of rules');
    const words = new Int32Array(length);
    words.set(this.words);
    this.words = words;
  }
}

/** Words that a block of `wordCount` words takes. */
export function roundedWords(wordCount: number): number {
  if (wordCount <= SMALL_WORDS) return (wordCount + GRAIN_WORDS - 1) & -GRAIN_WORDS;
  return 2 ** (32 - Math.clz32(wordCount - 1));
}

function sizeClass(size: number): number {
  return size <= SMALL_WORDS ? size / GRAIN_WORDS : SMALL_CLASSES + 31 - Math.clz32(size);
}
