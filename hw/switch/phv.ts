// What the tables of the staged pipeline see of a packet: 24 words of header fields and of state carried between stages.
//
// The parser's flow key (parse/key-layout.ts) has a word a field; a match crossbar packs fields side by side. So do these
// words: keys of tables are made of them, actions write them, `fillPhv` makes them from a flow key. Four metadata
// registers start at 0 for every packet, are set under masks by actions and matched by later stages; so is the colour that
// the last meter gave. One word holds a bit for each range register that matches (table/ranges.ts).
// An address of IPv4 is the first of its four words, the others are 0; tables that match it match the EtherType, too.

import * as K from '../parse/key-layout.ts';

export const PHV_WORDS = 24;
/** Port of arrival << 24 | EtherType after the tags. */
export const P_PORT = 0;
/** TPID of the outer tag << 16 | of the inner tag; 0 says that there is none. */
export const P_TPID = 1;
/** TCI of the outer tag << 16 | of the inner tag. */
export const P_VLAN = 2;
/** High 16 bits of the destination MAC << 16 | of the source MAC. */
export const P_ETH_HI = 3;
export const P_ETH_DST = 4;
export const P_ETH_SRC = 5;
/** Protocol << 24 | TOS << 16 | TTL << 8 | fragment bits (1: a fragment, 2: a first one). */
export const P_L3 = 6;
/** Four words each. */
export const P_SRC = 7;
export const P_DST = 11;
/** Source port << 16 | destination port. */
export const P_PORTS = 15;
/** TCP flags << 16 | ICMP type << 8 | ICMP code. */
export const P_L4 = 16;
/** Metadata registers, META_REGISTERS words. */
export const P_META = 17;
export const META_REGISTERS = 4;
/** Bit n: range register n matches. */
export const P_RANGE = 21;
/** Colour that the last meter gave (meter.ts): 0 green, 1 yellow, 2 red. */
export const P_COLOUR = 22;

/** One field of a key template: where it lies in the words. */
export interface PhvField {
  /** First word and, for fields of several words, how many. */
  readonly word: number;
  readonly words: number;
  /** Bits of the (first) word; whole words for fields of several. */
  readonly mask: number;
  /** How far its value is shifted up. */
  readonly shift: number;
}

const at = (word: number, mask: number, shift: number): PhvField => ({
  word,
  words: 1,
  mask,
  shift,
});

/** Fields by the names that rules and device profiles use; MAC addresses are two fields each (eth_dst_hi, eth_dst_lo). */
export const PHV_FIELDS = {
  in_port: at(P_PORT, 0xff000000, 24),
  eth_type: at(P_PORT, 0xffff, 0),
  vlan_tpid: at(P_TPID, 0xffff0000, 16),
  cvlan_tpid: at(P_TPID, 0xffff, 0),
  vlan_pcp: at(P_VLAN, 0xe0000000, 29),
  vlan_dei: at(P_VLAN, 0x10000000, 28),
  vlan_id: at(P_VLAN, 0x0fff0000, 16),
  cvlan_pcp: at(P_VLAN, 0xe000, 13),
  cvlan_dei: at(P_VLAN, 0x1000, 12),
  cvlan_id: at(P_VLAN, 0x0fff, 0),
  eth_dst_hi: at(P_ETH_HI, 0xffff0000, 16),
  eth_dst_lo: at(P_ETH_DST, 0xffffffff, 0),
  eth_src_hi: at(P_ETH_HI, 0xffff, 0),
  eth_src_lo: at(P_ETH_SRC, 0xffffffff, 0),
  ip_proto: at(P_L3, 0xff000000, 24),
  ip_tos: at(P_L3, 0xff0000, 16),
  ip_ttl: at(P_L3, 0xff00, 8),
  ip_frag: at(P_L3, 3, 0),
  ipv4_src: at(P_SRC, 0xffffffff, 0),
  ipv4_dst: at(P_DST, 0xffffffff, 0),
  ipv6_src: { word: P_SRC, words: 4, mask: 0xffffffff, shift: 0 },
  ipv6_dst: { word: P_DST, words: 4, mask: 0xffffffff, shift: 0 },
  sport: at(P_PORTS, 0xffff0000, 16),
  dport: at(P_PORTS, 0xffff, 0),
  tcp_flags: at(P_L4, 0x0fff0000, 16),
  icmp_type: at(P_L4, 0xff00, 8),
  icmp_code: at(P_L4, 0xff, 0),
  meta0: at(P_META, 0xffffffff, 0),
  meta1: at(P_META + 1, 0xffffffff, 0),
  meta2: at(P_META + 2, 0xffffffff, 0),
  meta3: at(P_META + 3, 0xffffffff, 0),
  range: at(P_RANGE, 0xffffffff, 0),
  colour: at(P_COLOUR, 3, 0),
} as const satisfies Record<string, PhvField>;
export type PhvFieldName = keyof typeof PHV_FIELDS;

/** The mask words of a list of fields. */
export function maskOfFields(fields: readonly PhvFieldName[]): Uint32Array {
  const mask = new Uint32Array(PHV_WORDS);
  for (const name of fields) {
    const field: PhvField = PHV_FIELDS[name];
    for (let i = 0; i < field.words; i++) mask[field.word + i] |= field.mask;
  }
  return mask;
}

/** Bits set in mask words. */
export function countBits(mask: Uint32Array): number {
  let bits = 0;
  for (const word of mask) for (let rest = word; rest !== 0; rest &= rest - 1) bits++;
  return bits;
}

/** Header words of a parsed frame; metadata, range bits and colour stay. */
export function fillPhv(key: Uint32Array, phv: Uint32Array): void {
  phv[P_PORT] = (key[K.K_IN_PORT] << 24) | key[K.K_ETHERTYPE];
  phv[P_TPID] = key[K.K_TPIDS];
  phv[P_VLAN] = (key[K.K_VLAN_OUTER] << 16) | key[K.K_VLAN_INNER];
  phv[P_ETH_HI] = (key[K.K_ETH_DST_HI] << 16) | key[K.K_ETH_SRC_HI];
  phv[P_ETH_DST] = key[K.K_ETH_DST_LO];
  phv[P_ETH_SRC] = key[K.K_ETH_SRC_LO];
  const flags = key[K.K_FLAGS];
  let fragment = (flags & K.PARSE_FRAGMENT) !== 0 ? 1 : 0;
  if (fragment === 1 && (flags & K.PARSE_LATER_FRAGMENT) === 0) fragment = 3;
  phv[P_L3] = (key[K.K_PROTO] << 24) | (key[K.K_TOS] << 16) | (key[K.K_TTL] << 8) | fragment;
  for (let i = 0; i < 4; i++) {
    phv[P_SRC + i] = key[K.K_SRC + i];
    phv[P_DST + i] = key[K.K_DST + i];
  }
  phv[P_PORTS] = (key[K.K_SPORT] << 16) | key[K.K_DPORT];
  phv[P_L4] = (key[K.K_TCP_FLAGS] << 16) | (key[K.K_ICMP_TYPE] << 8) | (key[K.K_ICMP_CODE] & 0xff);
}
