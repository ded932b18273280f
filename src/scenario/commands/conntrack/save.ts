// `conntrack -o save`: a connection as the arguments that make it again (conntrack-tools 1.4.7).

import { formatAddress } from '../../../stack/ip/address.ts';
import type { Conntrack } from '../../../stack/netfilter/conntrack/conntrack.ts';
import {
  protocolName,
  secondsLeft,
  stateName,
} from '../../../stack/netfilter/conntrack/listing.ts';
import {
  C_STATUS,
  IPS_ASSURED,
  IPS_DST_NAT,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  IPS_SRC_NAT,
  ROW_REPLY,
  ROW_WORDS,
} from '../../../stack/netfilter/conntrack/table.ts';
import {
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  T_DST,
  T_L4,
  T_META,
  hasPorts,
  tupleAddress,
} from '../../../stack/netfilter/conntrack/tuple.ts';

const STATUS_WORDS: readonly (readonly [bit: number, word: string])[] = [
  [IPS_EXPECTED, 'EXPECTED'],
  [IPS_SEEN_REPLY, 'SEEN_REPLY'],
  [IPS_ASSURED, 'ASSURED'],
  [IPS_FIXED_TIMEOUT, 'FIXED_TIMEOUT'],
];

/** `verb` is -A, -U or -D. */
export function saveLine(ct: Conntrack, id: number, verb: string): string {
  const { words } = ct.table;
  const row = id * ROW_WORDS;
  const reply = row + ROW_REPLY;
  const status = words[row + C_STATUS];
  const meta = words[row + T_META];
  const zone = meta >>> 16;
  const replyZone = words[reply + T_META] >>> 16;
  const set = STATUS_WORDS.filter(([bit]) => (status & bit) !== 0).map(([, word]) => word);
  const parts = [verb, `-t ${secondsLeft(ct, id)}`];
  parts.push(`-u ${set.length === 0 ? 'UNSET' : set.join(',')}`);
  if (zone === replyZone && zone !== 0) parts.push(`-w ${zone}`);
  if (zone !== replyZone && zone !== 0) parts.push(`--orig-zone ${zone}`);
  if (zone !== replyZone && replyZone !== 0) parts.push(`--reply-zone ${replyZone}`);
  const address = (at: number, offset: number): string =>
    formatAddress(tupleAddress(words, at, offset));
  parts.push(`-s ${address(row, 0)}`, `-d ${address(row, T_DST)}`);
  parts.push(`${(status & IPS_DST_NAT) !== 0 ? '-g' : '-r'} ${address(reply, 0)}`);
  parts.push(`${(status & IPS_SRC_NAT) !== 0 ? '-n' : '-q'} ${address(reply, T_DST)}`);
  parts.push(...protocolWords(words, row));
  return parts.join(' ');
}

function protocolWords(words: Int32Array, row: number): string[] {
  const protocol = (words[row + T_META] >> 8) & 0xff;
  const l4 = words[row + T_L4];
  const reply = words[row + ROW_REPLY + T_L4];
  const name = protocolName(protocol);
  const parts = [`-p ${name === 'unknown' ? protocol : name}`];
  if (hasPorts(protocol)) {
    parts.push(`--sport ${l4 >>> 16}`, `--dport ${l4 & 0xffff}`);
    parts.push(`--reply-port-src ${reply >>> 16}`, `--reply-port-dst ${reply & 0xffff}`);
    const state = stateName(words, row);
    if (state !== null) parts.push(`--state ${state}`);
  } else if (protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) {
    parts.push(`--${name}-type ${(l4 >> 8) & 0xff}`, `--${name}-code ${l4 & 0xff}`);
    parts.push(`--${name}-id ${l4 >>> 16}`);
  } else if (protocol === IPPROTO_GRE) {
    parts.push(`--srckey ${l4 >>> 16}`, `--dstkey ${l4 & 0xffff}`);
    parts.push(`--reply-key-src ${reply >>> 16}`, `--reply-key-dst ${reply & 0xffff}`);
  }
  return parts;
}
