// The words of `reject with …` as ICMP and ICMPv6 types and codes (nft(8); icmpx: one word for both families).

const ICMP_CODES: Record<string, number> = {
  'net-unreachable': 0,
  'host-unreachable': 1,
  'prot-unreachable': 2,
  'port-unreachable': 3,
  'net-prohibited': 9,
  'host-prohibited': 10,
  'admin-prohibited': 13,
};
const ICMPV6_CODES: Record<string, number> = {
  'no-route': 0,
  'admin-prohibited': 1,
  'addr-unreachable': 3,
  'port-unreachable': 4,
};
const ICMPX_CODES: Record<string, readonly [number, number]> = {
  'no-route': [0, 0],
  'host-unreachable': [1, 3],
  'port-unreachable': [3, 4],
  'admin-prohibited': [13, 1],
};

/** ICMP type and code, ICMPv6 type and code. */
export function rejectCodes(type: string, code: string): [number, number, number, number] {
  if (type === 'tcp reset') return [-1, 0, 0, 0];
  if (type === 'icmp') return [3, ICMP_CODES[code] ?? 3, 1, 4];
  if (type === 'icmpv6') return [3, 3, 1, ICMPV6_CODES[code] ?? 4];
  const [four, six] = ICMPX_CODES[code] ?? [3, 4];
  return [3, four, 1, six];
}
