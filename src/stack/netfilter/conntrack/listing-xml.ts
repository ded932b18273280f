// Connections as `conntrack -o xml` prints them (conntrack-tools 1.4.7): one <flow> a line. Whatever columns are asked for, use and id
// are always there.
//
// Left out: helpers, time stamps and labels inside of it; events.

import { formatAddress } from '../../ip/address.ts';
import type { StackPort } from '../stack-port.ts';
import type { Conntrack } from './conntrack.ts';
import { protocolName, secondsLeft, stateName, useCounts } from './listing.ts';
import {
  C_ID,
  C_MARK,
  C_STATUS,
  D_BYTES,
  D_PACKETS,
  IPS_ASSURED,
  IPS_HAS_ACCT,
  IPS_OFFLOAD,
  IPS_SEEN_REPLY,
  ROW_DOUBLES,
  ROW_REPLY,
  ROW_WORDS,
} from './table.ts';
import { IPPROTO_GRE, T_DST, T_L4, T_META, hasPorts, tupleAddress } from './tuple.ts';

/** The element of each row, without newline. */
export function connectionElements(
  stack: StackPort,
  ct: Conntrack,
  ids: readonly number[],
): string[] {
  const uses = useCounts(stack, ct, ids);
  return ids.map((id, i) => {
    const ways = [way(ct, id, 0, 'original'), way(ct, id, 1, 'reply')];
    return `<flow>${ways.join('')}${independent(ct, id, uses[i])}</flow>`;
  });
}

function element(name: string, value: string | number): string {
  return `<${name}>${value}</${name}>`;
}

/** One direction: addresses, ports, counters. */
function way(ct: Conntrack, id: number, direction: 0 | 1, name: string): string {
  const { words, doubles } = ct.table;
  const at = id * ROW_WORDS + direction * ROW_REPLY;
  const meta = words[at + T_META];
  const protocol = (meta >> 8) & 0xff;
  const isIpv4 = (meta & 0xff) === 2;
  const layer3 = isIpv4 ? 'protonum="2" protoname="ipv4"' : 'protonum="10" protoname="ipv6"';
  const ends = layer4(protocol, words[at + T_L4]);
  const counts = id * ROW_DOUBLES + direction;
  const counters =
    (words[id * ROW_WORDS + C_STATUS] & IPS_HAS_ACCT) === 0
      ? ''
      : element(
          'counters',
          element('packets', doubles[counts + D_PACKETS]) +
            element('bytes', doubles[counts + D_BYTES]),
        );
  return (
    `<meta direction="${name}"><layer3 ${layer3}>` +
    element('src', formatAddress(tupleAddress(words, at, 0))) +
    element('dst', formatAddress(tupleAddress(words, at, T_DST))) +
    `</layer3><layer4 protonum="${protocol}" protoname="${protocolName(protocol)}">${ends}</layer4>` +
    `${counters}</meta>`
  );
}

/** Ports or keys; nothing of ICMP. */
function layer4(protocol: number, l4: number): string {
  const [src, dst] = [l4 >>> 16, l4 & 0xffff];
  if (hasPorts(protocol)) return element('sport', src) + element('dport', dst);
  if (protocol !== IPPROTO_GRE) return '';
  return element('srckey', `0x${src.toString(16)}`) + element('dstkey', `0x${dst.toString(16)}`);
}

function independent(ct: Conntrack, id: number, use: number): string {
  const { words } = ct.table;
  const row = id * ROW_WORDS;
  const status = words[row + C_STATUS];
  const zone = words[row + T_META] >>> 16;
  const state = stateName(words, row);
  let text = '';
  if ((status & IPS_OFFLOAD) === 0) {
    if (state !== null) text += element('state', state);
    text += element('timeout', secondsLeft(ct, id));
  }
  text += element('mark', words[row + C_MARK] >>> 0);
  if (zone !== 0) text += element('zone', zone);
  text += element('use', use) + element('id', words[row + C_ID] >>> 0);
  if ((status & IPS_ASSURED) !== 0) text += '<assured/>';
  if ((status & IPS_SEEN_REPLY) === 0) text += '<unreplied/>';
  return `<meta direction="independent">${text}</meta>`;
}
