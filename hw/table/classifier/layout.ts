// How a rule is laid out in 32-bit words, for the classifier's rule store and for its leaves.
//
// A rule is a record of `storeWords` words: PRIORITY, RULE_ID, and then what the layout says. The first `leafWords` of them are
// copied into the leaf where the rule lives: what a lookup needs to verify a match, no more (cache lines are what lookups pay
// for). Whatever a leaf checks by other means than value and mask (ranges), the record also carries as value and mask words,
// the common prefix of the range, so that the index can hash on those bits: `valueAt` and `maskAt` say where key word w is.

/** Word of a record: its priority, a signed 32-bit number; the lowest wins. */
export const PRIORITY = 0;
/** Word of a record: its rule id; among equal priorities the lowest wins. */
export const RULE_ID = 1;

/** Where things are in a record. */
export interface RecordLayout {
  /** 32-bit words of a key. */
  readonly keyWords: number;
  /** Words of a record that a leaf holds. */
  readonly leafWords: number;
  /** Words of a whole record. */
  readonly storeWords: number;
  /** Word of the record that holds the value of key word w. */
  readonly valueAt: Int32Array;
  /** Word of the record that holds the mask of key word w. */
  readonly maskAt: Int32Array;
}

/** Value and mask per key word, in turn: a ternary rule of `keyWords` words (a TCAM of 640 bits has 20). */
export function ternaryLayout(keyWords: number): RecordLayout {
  const words = 2 + 2 * keyWords;
  const valueAt = Int32Array.from({ length: keyWords }, (_, word) => 2 + 2 * word);
  const maskAt = valueAt.map((at) => at + 1);
  return { keyWords, leafWords: words, storeWords: words, valueAt, maskAt };
}

// The five-tuple: key words source, destination, source port << 16 | destination port, protocol.
export const SRC = 2;
export const SRC_MASK = 3;
export const DST = 4;
export const DST_MASK = 5;
/** Lowest port | (highest - lowest) << 16, so that one subtraction and one unsigned comparison check the range. */
export const SRC_PORT_RANGE = 6;
export const DST_PORT_RANGE = 7;
/** Protocol | mask << 8. */
export const PROTOCOL = 8;
/** Words of a five-tuple record in a leaf: 36 bytes. */
export const FIVE_TUPLE_LEAF_WORDS = 9;
export const PORTS_VALUE = 9;
export const PORTS_MASK = 10;
export const PROTOCOL_VALUE = 11;
export const PROTOCOL_MASK = 12;

export const FIVE_TUPLE_LAYOUT: RecordLayout = {
  keyWords: 4,
  leafWords: FIVE_TUPLE_LEAF_WORDS,
  storeWords: 13,
  valueAt: Int32Array.of(SRC, DST, PORTS_VALUE, PROTOCOL_VALUE),
  maskAt: Int32Array.of(SRC_MASK, DST_MASK, PORTS_MASK, PROTOCOL_MASK),
};

/** Bits in which all numbers of a range of 16-bit numbers agree: the mask of the shortest prefix that covers it. */
export function commonPrefixMask16(low: number, high: number): number {
  const unlike = low ^ high;
  return unlike === 0 ? 0xffff : 0xffff & ~((1 << (32 - Math.clz32(unlike))) - 1);
}

/** Odd multipliers of the hash, one per key word (fractional bits of the golden ratio and its multiples, made odd). */
export const HASH_0 = 0x9e3779b1 | 0;
export const HASH_1 = 0x85ebca77 | 0;
export const HASH_2 = 0xc2b2ae3d | 0;
export const HASH_3 = 0x27d4eb2f | 0;

/** The multipliers of a key of `keyWords` words. */
export function hashMultipliers(keyWords: number): Int32Array {
  const multipliers = new Int32Array(Math.max(4, keyWords));
  multipliers.set([HASH_0, HASH_1, HASH_2, HASH_3]);
  for (let word = 4; word < keyWords; word++)
    multipliers[word] = Math.imul(multipliers[word - 1], 0x01000193) | 1;
  return multipliers.subarray(0, keyWords);
}
