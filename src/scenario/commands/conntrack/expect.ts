// The table of expectations as `conntrack -L expect` prints it (libnetfilter_conntrack's default form).

import { PS_PER_S } from '../../../../hw/time/units.ts';
import { formatAddress } from '../../../stack/ip/address.ts';
import type { Conntrack } from '../../../stack/netfilter/conntrack/conntrack.ts';
import type { Expectation } from '../../../stack/netfilter/conntrack/expect.ts';
import { ROW_WORDS } from '../../../stack/netfilter/conntrack/table.ts';
import { T_DST, T_L4, tupleAddress } from '../../../stack/netfilter/conntrack/tuple.ts';

/** Lines of all expectations, newest last. */
export function expectLines(ct: Conntrack): string[] {
  ct.expectations.expire();
  return ct.expectations.list.map((expected) => line(ct, expected));
}

function line(ct: Conntrack, expected: Expectation): string {
  const { words } = ct.table;
  const key = new Int32Array(10);
  expected.tuple.store(key, 0);
  const master = expected.master.id * ROW_WORDS;
  const left = Math.floor((expected.untilPs - ct.now) / PS_PER_S);
  const ends = (at: Int32Array, from: number, prefix: string): string => {
    const src = formatAddress(tupleAddress(at, from, 0));
    const dst = formatAddress(tupleAddress(at, from, T_DST));
    const l4 = at[from + T_L4];
    return `${prefix}src=${src} ${prefix}dst=${dst} sport=${l4 >>> 16} dport=${l4 & 0xffff}`;
  };
  const full =
    expected.tuple.family === 2 ? '255.255.255.255' : 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff';
  return [
    `${left} proto=${expected.tuple.protocol}`,
    ends(key, 0, ''),
    `mask-src=${full} mask-dst=${full} sport=0 dport=65535`,
    ends(words, master, 'master-'),
    ...(expected.tuple.zone === 0 ? [] : [`zone=${expected.tuple.zone}`]),
    `class=0 helper=${expected.helper.name}`,
  ].join(' ');
}
