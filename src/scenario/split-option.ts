// The text form of `--split` and of the scenario key `split`.

import { parseAddress } from '../stack/ip/address.ts';
import type { SplitPolicy } from './split.ts';

/** "client-server", "mac", "none" or "cidr=10.0.0.0/8"; throws an Error that says what was expected. */
export function parseSplit(text: string): SplitPolicy {
  if (text === 'client-server' || text === 'mac' || text === 'none') return { kind: text };
  const match = /^cidr=(.+)\/(\d{1,3})$/.exec(text);
  if (match !== null) {
    const prefixBytes = parseAddress(match[1]);
    const prefixLen = Number(match[2]);
    if (prefixBytes !== null && prefixLen <= prefixBytes.length * 8)
      return { kind: 'cidr', text, prefixBytes, prefixLen };
  }
  throw new Error(`expected client-server, mac, none or cidr=NETWORK/LENGTH, found '${text}'`);
}
