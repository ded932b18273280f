// Names that several dialects share: EtherTypes, IP protocols, conntrack states; port names and numbers.

export const ETH_IPV4 = 0x0800;
export const ETH_ARP = 0x0806;
export const ETH_RARP = 0x8035;
export const ETH_IPV6 = 0x86dd;
export const ETH_VLAN = 0x8100;
export const ETH_QINQ = 0x88a8;
export const ETH_MPLS_UC = 0x8847;
export const ETH_MPLS_MC = 0x8848;

export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;
export const PROTO_ESP = 50;
export const PROTO_AH = 51;
export const PROTO_ICMPV6 = 58;
export const PROTO_SCTP = 132;

/** tc's names of link-layer protocols, the one that is printed first per number. */
const ETHER_TYPES: readonly (readonly [name: string, type: number])[] = [
  ['ip', ETH_IPV4],
  ['ipv4', ETH_IPV4],
  ['arp', ETH_ARP],
  ['ipv6', ETH_IPV6],
  ['802.1Q', ETH_VLAN],
  ['802.1ad', ETH_QINQ],
  ['mpls_uc', ETH_MPLS_UC],
  ['mpls_mc', ETH_MPLS_MC],
  ['rarp', ETH_RARP],
  ['ppp_disc', 0x8863],
  ['ppp_ses', 0x8864],
  ['lldp', 0x88cc],
];

/** EtherType by tc's name (any case) or as hexadecimal; null for neither. */
export function etherType(text: string): number | null {
  const lower = text.toLowerCase();
  const known = ETHER_TYPES.find(([name]) => name.toLowerCase() === lower);
  if (known !== undefined) return known[1];
  return /^0x[0-9a-f]{1,4}$/.test(lower) ? parseInt(lower, 16) : null;
}

/** tc's name, or 0x and four digits. */
export function etherTypeName(type: number): string {
  const known = ETHER_TYPES.find(([, number]) => number === type);
  return known?.[0] ?? `0x${type.toString(16).padStart(4, '0')}`;
}

const IP_PROTOCOLS: Record<string, number> = {
  tcp: PROTO_TCP,
  udp: PROTO_UDP,
  sctp: PROTO_SCTP,
  icmp: PROTO_ICMP,
  icmpv6: PROTO_ICMPV6,
};

/** Protocol by flower's names or number; null for neither. */
export function ipProto(text: string): number | null {
  if (text in IP_PROTOCOLS) return IP_PROTOCOLS[text];
  const value = /^(0x[0-9a-f]{1,2}|[0-9]{1,3})$/i.test(text) ? Number(text) : 256;
  return value < 256 ? value : null;
}

export function ipProtoName(proto: number): string {
  const known = Object.entries(IP_PROTOCOLS).find(([, number]) => number === proto);
  return known?.[0] ?? String(proto);
}

/** Conntrack states by bit, OVS's names and order. */
export const CT_STATES = ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'] as const;

/** '+trk-new' as value and mask; null when malformed. A state named twice is malformed. */
export function parseCtState(text: string): { value: number; mask: number } | null {
  if (!/^([+-][a-z]+)+$/.test(text)) return null;
  let value = 0;
  let mask = 0;
  for (const [, sign, name] of text.matchAll(/([+-])([a-z]+)/g)) {
    const bit = CT_STATES.findIndex((state) => state === name);
    if (bit < 0 || ((mask >>> bit) & 1) === 1) return null;
    mask |= 1 << bit;
    if (sign === '+') value |= 1 << bit;
  }
  return { value, mask };
}

export function formatCtState(value: number, mask: number): string {
  return CT_STATES.map((name, bit) =>
    ((mask >>> bit) & 1) === 0 ? '' : `${((value >>> bit) & 1) === 1 ? '+' : '-'}${name}`,
  ).join('');
}

/** Number of a port by the digits at its name's end ('p0', 'os2', '2'); −1 for a name without. */
export function portNumber(name: string): number {
  const digits = /([0-9]{1,9})$/.exec(name);
  return digits === null || name.includes(' ') ? -1 : Number(digits[1]);
}

/** A device's name for a port that may be known by number only. */
export function portName(port: string): string {
  return /^[0-9]+$/.test(port) ? `p${port}` : port;
}
