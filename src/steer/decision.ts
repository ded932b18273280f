// Where a machine's port steers a frame, and why: the device's own classifier, asked without sending anything through it.

import type { PciFunction } from '../../hw/function.ts';
import type { Nic } from '../../hw/nic.ts';
import { K_FLAGS, PARSE_FRAGMENT, PARSE_MALFORMED } from '../../hw/parse/key-layout.ts';
import { MECHANISM_NAMES, Mechanism, STEER_DROP } from '../../hw/steering/rx-steering.ts';
import type { SteeringMatch } from '../../hw/steering/rx-steering.ts';

/** One mechanism that takes the frame. */
export interface MechanismMatch {
  mechanism: string;
  /** Number of the filter, null where there is none. */
  filter: number | null;
  /** Null: the filter drops. */
  queue: number | null;
}

export interface Decision {
  /** Hash, null when RSS hashes nothing of the frame. */
  hash: number | null;
  /** What was hashed: 'ipv4-tcp', 'ipv6', 'none', ... */
  hashType: string;
  /** Entry of the indirection table, null without a hash. */
  entry: number | null;
  tableEntries: number;
  hashFunction: string;
  isFragment: boolean;
  isMalformed: boolean;
  /** The one that decides first, then those that would have. */
  matches: MechanismMatch[];
}

/** RSS types of the descriptor, by number. */
const HASH_TYPES: readonly string[] = [
  ...['none', 'ipv4-tcp', 'ipv4', 'ipv6-tcp', '', 'ipv6', '', 'ipv4-udp', 'ipv6-udp'],
];

/** Decides a frame that arrives on a port; `bytes` may be the device's own packet memory or any other. */
export function decide(
  nic: Nic,
  fn: PciFunction,
  view: DataView,
  at: number,
  lenBytes: number,
): Decision {
  const { pipeline } = nic;
  pipeline.parse(view, at, lenBytes, fn.index);
  const { key } = pipeline;
  const { rss, steering } = fn;
  const rssQueue = rss.classify(key);
  const { hash, type } = rss;
  const found = steering.explain(rssQueue, key, view, at);
  const context = rss.contexts[0];
  const flags = key[K_FLAGS];
  const symmetric = context.isSymmetric ? ' over XORed fields' : '';
  return {
    hash: type === 0 ? null : hash >>> 0,
    hashType: HASH_TYPES[type],
    entry: type === 0 ? null : hash & context.indexMask,
    tableEntries: context.indexMask + 1,
    hashFunction: `${context.func === 0 ? 'Toeplitz' : 'XOR'}${symmetric}`,
    isFragment: (flags & PARSE_FRAGMENT) !== 0,
    isMalformed: (flags & PARSE_MALFORMED) !== 0,
    matches: found.map((match) => asMatch(match, fn.rxRings.length)),
  };
}

function asMatch({ mechanism, filter, queue }: SteeringMatch, queues: number): MechanismMatch {
  const reached = queue >= queues ? 0 : queue;
  return {
    mechanism: MECHANISM_NAMES[mechanism],
    filter: mechanism === Mechanism.RSS || filter < 0 ? null : filter,
    queue: queue === STEER_DROP ? null : reached,
  };
}
