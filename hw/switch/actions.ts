// Actions of the staged pipeline: kinds, their encoding in action memory and in admin records, and what each may name.
//
// An action list is up to MAX_ITEMS items of four words, run in order: word 0 is the kind, words 1 to 3 its arguments. A
// list ends at its first terminal item (output, drop, trap, pass, goto, group); without one the packet goes on in the
// table's next table, or out of the pipeline as with PASS. Order is the rule's: a mirror sends the frame as it is then.
// Left out: actions whose operands come from packets or registers (P4's ALU programs), and recirculation.

import * as P from './phv.ts';

/** Words of an item. */
export const ITEM_WORDS = 4;
/** Items of an entry's list. */
export const MAX_ITEMS = 16;
/** In place of a port: the host (mirror, sample). */
export const TO_HOST_PORT = 0xffffffff;

export const ActionKind = {
  /** Out of a port and done. w1: port. */
  OUTPUT: 1,
  DROP: 2,
  /** To the host (MissReason TRAP), past the flow tables behind this pipeline. */
  TRAP: 3,
  /** Out of the pipeline: on to MAC filter, flow tables, host. */
  PASS: 4,
  /** On in a table of a later stage. w1: table. */
  GOTO: 5,
  /** w1: group. */
  GROUP: 6,
  /** Writes bits of a PHV word, in the frame if it is a header's. w1: word, w2: value, w3: mask. */
  SET: 7,
  /** TTL or hop limit less 1; a packet whose TTL would reach 0 goes to the host instead (MissReason TTL). */
  DEC_TTL: 8,
  /** w1: TCI, w2: TPID. */
  PUSH_VLAN: 9,
  POP_VLAN: 10,
  /** Sends a copy. w1: port, or TO_HOST_PORT. */
  MIRROR: 11,
  /** Sends a copy of one packet in w1 (drawn by the device's seeded generator). w2: bytes kept, 0 for all; w3: port or
   * TO_HOST_PORT; bits 31:16 of w0: sampling group, told to the host. */
  SAMPLE: 12,
  /** w1: meter; w2, w3: what becomes of yellow and red packets (MeterVerdict). */
  METER: 13,
  /** Counts the entry's packets and bytes in a counter of the device's pool. */
  COUNT: 14,
  /** Receive queue, if the packet goes to the host. w1. */
  QUEUE: 15,
  /** Mark, if the packet goes to the host. w1. */
  MARK: 16,
} as const;
export type ActionKind = (typeof ActionKind)[keyof typeof ActionKind];

/** Names by number, for reports and refusals. */
export const ACTION_NAMES: readonly string[] = [
  'none',
  'output',
  'drop',
  'trap',
  'pass',
  'goto',
  'group',
  'set',
  'dec-ttl',
  'push-vlan',
  'pop-vlan',
  'mirror',
  'sample',
  'meter',
  'count',
  'queue',
  'mark',
];
export const ACTION_KINDS = ACTION_NAMES.length;

/** Bit of a kind in a stage's set of allowed actions. */
export function actionBit(kind: number): number {
  return 1 << kind;
}

/** All kinds. */
export const ALL_ACTIONS = (1 << ACTION_KINDS) - 2;

/** What a meter does with a colour that is not green. */
export const MeterVerdict = { GO_ON: 0, DROP: 1, TRAP: 2 } as const;

export const GroupType = {
  /** Every bucket gets the packet: the last one itself, the others copies. */
  ALL: 0,
  /** One bucket by a hash of the addresses, ports and protocol. */
  SELECT: 1,
  /** Its only bucket. */
  INDIRECT: 2,
} as const;

/** Bits of each PHV word that SET may write. */
export const WRITABLE: Uint32Array = writable();

function writable(): Uint32Array {
  const mask = P.maskOfFields([
    ...(['vlan_pcp', 'vlan_dei', 'vlan_id', 'ip_tos', 'ip_ttl', 'sport', 'dport'] as const),
    ...(['eth_dst_hi', 'eth_dst_lo', 'eth_src_hi', 'eth_src_lo', 'ipv6_src', 'ipv6_dst'] as const),
    ...(['meta0', 'meta1', 'meta2', 'meta3'] as const),
  ]);
  return mask;
}

export function isTerminal(kind: number): boolean {
  return kind >= ActionKind.OUTPUT && kind <= ActionKind.GROUP;
}

/** PHV words that a list may write, as bits: what a later stage may depend on. */
export function wordsWritten(items: Uint32Array): number {
  let bits = 0;
  for (let at = 0; at < items.length; at += ITEM_WORDS)
    switch (items[at] & 0xff) {
      case ActionKind.SET:
        bits |= 1 << items[at + 1];
        break;
      case ActionKind.DEC_TTL:
        bits |= 1 << P.P_L3;
        break;
      case ActionKind.PUSH_VLAN:
      case ActionKind.POP_VLAN:
        bits |= (1 << P.P_VLAN) | (1 << P.P_TPID);
        break;
      case ActionKind.METER:
        bits |= 1 << P.P_COLOUR;
        break;
      default:
        break;
    }
  return bits;
}

/** Items of a list in a record of host memory. */
export function readItems(record: DataView, at: number, count: number): Uint32Array {
  const items = new Uint32Array(count * ITEM_WORDS);
  for (let i = 0; i < items.length; i++) items[i] = record.getUint32(at + 4 * i, true);
  return items;
}
