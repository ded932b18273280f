// `munge` of a pedit as the words that the kernel writes (tcf_pedit_key_ex): header, offset of a 32-bit word, mask of the bits
// that stay, value. iproute2 makes them of names; addresses of IPv6 take four words, MAC addresses two.

import type { Action, FieldName } from '../../rules/rule.ts';
import type { TcAction } from '../../rules/tc-actions.ts';
import { wordsToBytes } from '../../rules/values.ts';
import type { PeditKey } from './action.ts';

/** Where a field lies: bytes from the start of its header, by header and field. */
const PLACES: Partial<Record<FieldName, { at: number; bytes: number; mask?: number }>> = {
  eth_dst: { at: 0, bytes: 6 },
  eth_src: { at: 6, bytes: 6 },
  eth_type: { at: 12, bytes: 2 },
  ipv4_src: { at: 12, bytes: 4 },
  ipv4_dst: { at: 16, bytes: 4 },
  ipv6_src: { at: 8, bytes: 16 },
  ipv6_dst: { at: 24, bytes: 16 },
  sport: { at: 0, bytes: 2 },
  dport: { at: 2, bytes: 2 },
};

const TTL_AT: Record<string, number> = { ipv4: 8, ipv6: 7 };
const PROTO_AT: Record<string, number> = { ipv4: 9, ipv6: 6 };

/** Header names of the kernel by those of the command. */
const HEADERS: Record<string, string> = { ip: 'ipv4', ip4: 'ipv4', ip6: 'ipv6' };

/** The words of a pedit, in order. */
export function peditKeys(spec: TcAction): PeditKey[] {
  return spec.steps.flatMap((step, i) => keysOf(step, spec.headers[i] ?? 'ip'));
}

function keysOf(step: Action, headerWord: string): PeditKey[] {
  const header = HEADERS[headerWord] ?? headerWord;
  if (step.kind === 'dec_ttl')
    return writeBytes(header, TTL_AT[header], Uint8Array.of(0xff), Uint8Array.of(0xff), true);
  if (step.kind !== 'set_field') return [];
  const { field, value, mask } = step;
  const place = PLACES[field];
  if (place !== undefined) {
    const bits = place.bytes * 8;
    return writeBytes(header, place.at, wordsToBytes(value, bits), wordsToBytes(mask, bits), false);
  }
  const one = (at: number): PeditKey[] =>
    writeBytes(header, at, Uint8Array.of(value[0]), Uint8Array.of(mask[0]), false);
  if (field === 'ip_ttl') return one(TTL_AT[header]);
  if (field === 'ip_proto') return one(PROTO_AT[header]);
  if (field === 'ip_tos' && header === 'ipv4') return one(1);
  // IPv6's traffic class straddles two bytes: bits 4 to 11 of the first word.
  return [
    {
      header,
      offset: 0,
      add: false,
      val: (value[0] << 20) >>> 0,
      mask: ~(mask[0] << 20) >>> 0,
    },
  ];
}

/** Bytes at any offset as the aligned words that hold them. */
function writeBytes(
  header: string,
  at: number,
  value: Uint8Array,
  mask: Uint8Array,
  add: boolean,
): PeditKey[] {
  const keys: PeditKey[] = [];
  for (let word = at & ~3; word < at + value.length; word += 4) {
    let val = 0;
    let written = 0;
    for (let i = 0; i < 4; i++) {
      const from = word + i - at;
      const inside = from >= 0 && from < value.length;
      val = (val << 8) | (inside ? value[from] & mask[from] : 0);
      written = (written << 8) | (inside ? mask[from] : 0);
    }
    keys.push({ header, offset: word, add, val: val >>> 0, mask: ~written >>> 0 });
  }
  return keys;
}
