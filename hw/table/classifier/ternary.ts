// The classifier for keys of any number of 32-bit words, each matched by value and mask: what a TCAM of 40- to 640-bit keys
// asks. Bits outside the mask are ignored.

import { RuleIndex } from './classifier.ts';
import { ternaryLayout } from './layout.ts';
import { searchWords } from './search.ts';

export class TernaryClassifier extends RuleIndex {
  /** `keyWords`: 32-bit words of a key. */
  constructor(keyWords: number) {
    super(ternaryLayout(keyWords));
  }

  /** Adds a rule, `keyWords` words of value and of mask from `at`. The lowest priority wins, among equals the lowest id. */
  insert(
    ruleId: number,
    priority: number,
    value: Int32Array | Uint32Array,
    mask: Int32Array | Uint32Array,
    at = 0,
  ): void {
    const record = this.claim(ruleId, priority);
    const words = this.store.words;
    const { keyWords, valueAt, maskAt } = this.layout;
    for (let word = 0; word < keyWords; word++) {
      const bits = mask[at + word];
      words[record + valueAt[word]] = value[at + word] & bits;
      words[record + maskAt[word]] = bits;
    }
    this.added(ruleId);
  }

  /** Id of the rule that wins for the key words at `at`, -1 for none. */
  lookup(key: Int32Array | Uint32Array, at = 0): number {
    return searchWords(
      this.tree.arena.words,
      this.tree.root,
      this.pending,
      key,
      at,
      this.layout.keyWords,
      this.multipliers,
    );
  }
}
