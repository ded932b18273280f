// ICMP and ICMPv6 as conntrack sees them (spec C.5, C.6): which messages open an entry, which are errors about another packet,
// which are left untracked.

import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from './tuple.ts';

export const ICMP_QUERY = 0;
/** About another packet: RELATED to its entry. */
export const ICMP_ERROR = 1;
/** Not tracked (neighbour and router discovery, MLD). */
export const ICMP_UNTRACKED = 2;
export const ICMP_INVALID = 3;

/** Class of an ICMP message. */
export function icmpClass(protocol: number, type: number): number {
  if (protocol === IPPROTO_ICMP) {
    if (type > 18) return ICMP_INVALID;
    return type === 3 || type === 4 || type === 5 || type === 11 || type === 12
      ? ICMP_ERROR
      : ICMP_QUERY;
  }
  if (type < 128) return ICMP_ERROR;
  // MLD 130..132 and 143, router and neighbour discovery 133..137.
  return (type >= 130 && type <= 137) || type === 143 ? ICMP_UNTRACKED : ICMP_QUERY;
}

/** Whether a query of this type may open an entry. */
export function icmpMayOpen(protocol: number, type: number): boolean {
  return protocol === IPPROTO_ICMP
    ? type === 8 || type === 13 || type === 15 || type === 17
    : type === 128 || type === 139;
}

/** Whether the protocol is the ICMP of that family (2 or 10). */
export function isIcmp(protocol: number, family: number): boolean {
  return protocol === (family === 2 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}
