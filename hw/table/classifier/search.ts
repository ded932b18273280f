// The lookups over a classifier's tree (tree.ts): stand-alone functions of primitives and one typed array. Two of them: any
// number of key words, value and mask; and the five-tuple with its port ranges, unrolled.
//
// Both go through a node's tables in order of best priority and stop at the first that cannot beat the match in hand; leaves
// are in order too, so their first match is their best. Nodes met on the way wait in `pending`.

import {
  DST,
  DST_MASK,
  DST_PORT_RANGE,
  FIVE_TUPLE_LEAF_WORDS,
  HASH_0,
  HASH_1,
  HASH_2,
  HASH_3,
  PRIORITY,
  PROTOCOL,
  RULE_ID,
  SRC,
  SRC_MASK,
  SRC_PORT_RANGE,
} from './layout.ts';
import {
  LEAF_RECORDS,
  LEAF_SIZE,
  NODE_BEST,
  NODE_REST,
  NODE_TABLE_COUNT,
  NODE_TABLES,
  TABLE_BEST,
  TABLE_MASK,
  TABLE_SHIFT,
  TABLE_SLOTS,
} from './blocks.ts';

const WORST = 0x7fffffff;
const FIVE_TUPLE_TABLE_WORDS = TABLE_MASK + 4;

/** Id of the rule that wins for a five-tuple, -1 for none. `ports` is source port << 16 | destination port. */
export function searchFiveTuple(
  words: Int32Array,
  root: number,
  pending: Int32Array,
  src: number,
  dst: number,
  ports: number,
  protocol: number,
): number {
  let bestPriority = WORST;
  let bestId = WORST;
  let pendingCount = 1;
  pending[0] = root;
  while (pendingCount > 0) {
    const reference = pending[--pendingCount];
    if (reference >= 0) {
      if (reference === 0) continue;
      const at = scanFiveTuple(words, reference, bestPriority, bestId, src, dst, ports, protocol);
      if (at === 0) continue;
      bestPriority = words[at + PRIORITY];
      bestId = words[at + RULE_ID];
      continue;
    }
    const node = -reference;
    if (words[node + NODE_BEST] > bestPriority) continue;
    const end = node + NODE_TABLES + words[node + NODE_TABLE_COUNT] * FIVE_TUPLE_TABLE_WORDS;
    pending[pendingCount++] = words[node + NODE_REST];
    for (let table = node + NODE_TABLES; table < end; table += FIVE_TUPLE_TABLE_WORDS) {
      if (words[table + TABLE_BEST] > bestPriority) break;
      const a = src & words[table + TABLE_MASK];
      const b = dst & words[table + TABLE_MASK + 1];
      const c = ports & words[table + TABLE_MASK + 2];
      const d = protocol & words[table + TABLE_MASK + 3];
      const hash =
        Math.imul(a ^ (a >>> 16), HASH_0) +
        Math.imul(b ^ (b >>> 16), HASH_1) +
        Math.imul(c ^ (c >>> 16), HASH_2) +
        Math.imul(d, HASH_3);
      const slot = hash >>> words[table + TABLE_SHIFT];
      const below = words[words[table + TABLE_SLOTS] + slot];
      if (below === 0) continue;
      if (below < 0) {
        pending[pendingCount++] = below;
        continue;
      }
      const at = scanFiveTuple(words, below, bestPriority, bestId, src, dst, ports, protocol);
      if (at === 0) continue;
      bestPriority = words[at + PRIORITY];
      bestId = words[at + RULE_ID];
    }
  }
  return bestId === WORST ? -1 : bestId;
}

/** Word of the first record of a leaf that matches and beats the best so far, 0 for none. */
function scanFiveTuple(
  words: Int32Array,
  leaf: number,
  bestPriority: number,
  bestId: number,
  src: number,
  dst: number,
  ports: number,
  protocol: number,
): number {
  const end = leaf + LEAF_RECORDS + words[leaf + LEAF_SIZE] * FIVE_TUPLE_LEAF_WORDS;
  for (let at = leaf + LEAF_RECORDS; at < end; at += FIVE_TUPLE_LEAF_WORDS) {
    const priority = words[at + PRIORITY];
    if (priority >= bestPriority)
      if (priority > bestPriority || words[at + RULE_ID] > bestId) return 0;
    if (((dst ^ words[at + DST]) & words[at + DST_MASK]) !== 0) continue;
    if (((src ^ words[at + SRC]) & words[at + SRC_MASK]) !== 0) continue;
    const dstRange = words[at + DST_PORT_RANGE];
    if (((ports & 0xffff) - (dstRange & 0xffff)) >>> 0 > dstRange >>> 16) continue;
    const srcRange = words[at + SRC_PORT_RANGE];
    if (((ports >>> 16) - (srcRange & 0xffff)) >>> 0 > srcRange >>> 16) continue;
    const protocolWord = words[at + PROTOCOL];
    if (((protocol ^ protocolWord) & (protocolWord >>> 8)) !== 0) continue;
    return at;
  }
  return 0;
}

/** Id of the rule that wins for the key words at `keyAt`, -1 for none. */
export function searchWords(
  words: Int32Array,
  root: number,
  pending: Int32Array,
  key: Int32Array | Uint32Array,
  keyAt: number,
  keyWords: number,
  multipliers: Int32Array,
): number {
  let bestPriority = WORST;
  let bestId = WORST;
  let pendingCount = 1;
  pending[0] = root;
  const tableWords = TABLE_MASK + keyWords;
  while (pendingCount > 0) {
    const reference = pending[--pendingCount];
    if (reference >= 0) {
      if (reference === 0) continue;
      const at = scanWords(words, reference, bestPriority, bestId, key, keyAt, keyWords);
      if (at === 0) continue;
      bestPriority = words[at + PRIORITY];
      bestId = words[at + RULE_ID];
      continue;
    }
    const node = -reference;
    if (words[node + NODE_BEST] > bestPriority) continue;
    const end = node + NODE_TABLES + words[node + NODE_TABLE_COUNT] * tableWords;
    pending[pendingCount++] = words[node + NODE_REST];
    for (let table = node + NODE_TABLES; table < end; table += tableWords) {
      if (words[table + TABLE_BEST] > bestPriority) break;
      let hash = 0;
      for (let word = 0; word < keyWords; word++) {
        const part = key[keyAt + word] & words[table + TABLE_MASK + word];
        hash = (hash + Math.imul(part ^ (part >>> 16), multipliers[word])) | 0;
      }
      const slot = hash >>> words[table + TABLE_SHIFT];
      const below = words[words[table + TABLE_SLOTS] + slot];
      if (below === 0) continue;
      if (below < 0) {
        pending[pendingCount++] = below;
        continue;
      }
      const at = scanWords(words, below, bestPriority, bestId, key, keyAt, keyWords);
      if (at === 0) continue;
      bestPriority = words[at + PRIORITY];
      bestId = words[at + RULE_ID];
    }
  }
  return bestId === WORST ? -1 : bestId;
}

function scanWords(
  words: Int32Array,
  leaf: number,
  bestPriority: number,
  bestId: number,
  key: Int32Array | Uint32Array,
  keyAt: number,
  keyWords: number,
): number {
  const leafWords = 2 + 2 * keyWords;
  const end = leaf + LEAF_RECORDS + words[leaf + LEAF_SIZE] * leafWords;
  for (let at = leaf + LEAF_RECORDS; at < end; at += leafWords) {
    const priority = words[at + PRIORITY];
    if (priority >= bestPriority)
      if (priority > bestPriority || words[at + RULE_ID] > bestId) return 0;
    let word = 0;
    let pair = at + 2;
    while (word < keyWords && ((key[keyAt + word] ^ words[pair]) & words[pair + 1]) === 0) {
      word++;
      pair += 2;
    }
    if (word === keyWords) return at;
  }
  return 0;
}
