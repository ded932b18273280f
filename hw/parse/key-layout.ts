// What the parser finds in a frame: one flow key of 32 words, always the same layout, reused for every packet.
//
// Words hold plain unsigned values (an IPv4 address is one word, most significant byte first on the wire). Words that a
// frame does not have are 0. Two keys are derived from it: the exact-match key (11 words) and the TCAM key (13 words).

export const KEY_WORDS = 32;
export const K_IN_PORT = 0;
/** ParseFlag bits. */
export const K_FLAGS = 1;
/** 4, 6 or 0. */
export const K_FAMILY = 2;
export const K_ETH_DST_HI = 3;
export const K_ETH_DST_LO = 4;
export const K_ETH_SRC_HI = 5;
export const K_ETH_SRC_LO = 6;
/** EtherType after the tags; below 1536 for 802.3 frames. */
export const K_ETHERTYPE = 7;
/** TCI of the outer and inner tag, valid below K_VLAN_COUNT. */
export const K_VLAN_OUTER = 8;
export const K_VLAN_INNER = 9;
/** Tags seen by the parser, 0 to 2 (a third one leaves PARSE_MANY_TAGS). */
export const K_VLAN_COUNT = 10;
/** Four words each; IPv4 uses the first. */
export const K_SRC = 11;
export const K_DST = 15;
/** Transport protocol after extension headers. */
export const K_PROTO = 19;
export const K_TOS = 20;
export const K_TTL = 21;
export const K_SPORT = 22;
export const K_DPORT = 23;
/** 12 bits: data offset's low nibble of reserved bits, NS, CWR .. FIN. */
export const K_TCP_FLAGS = 24;
export const K_ICMP_TYPE = 25;
export const K_ICMP_CODE = 26;
/** Offset of the network header from the start of the frame, bytes. */
export const K_L3_AT = 27;
/** Offset of the transport header from the start of the frame, 0 when there is none. */
export const K_L4_AT = 28;
/** Length of the IP packet by its header, bytes. */
export const K_L3_LEN = 29;
/** Headers beyond Ethernet that the parser went through: tags, IP, extension headers, transport. */
export const K_HEADERS = 30;
/** TPID of the outer tag << 16 | TPID of the inner one; 0 where there is none. */
export const K_TPIDS = 31;

/** Facts about the frame, bits of K_FLAGS. */
export const PARSE_MULTICAST = 1 << 0;
export const PARSE_BROADCAST = 1 << 1;
export const PARSE_MANY_TAGS = 1 << 2;
/** A header is truncated or its lengths contradict. */
export const PARSE_MALFORMED = 1 << 3;
export const PARSE_FRAGMENT = 1 << 4;
/** A fragment other than the first: no transport header. */
export const PARSE_LATER_FRAGMENT = 1 << 5;
export const PARSE_IP_OPTIONS = 1 << 6;
export const PARSE_EXTENSION = 1 << 7;
/** K_SPORT and K_DPORT are valid (TCP, UDP, SCTP). */
export const PARSE_PORTS = 1 << 8;
export const PARSE_IP_CHECKSUM_BAD = 1 << 9;

/** Words of the exact-match key. */
export const EXACT_KEY_WORDS = 11;
/** in_port << 24 | family << 16 | protocol << 8. */
export const X_HEAD = 0;
/** source port << 16 | destination port. */
export const X_PORTS = 1;
/** 0x1000 | VLAN id, 0 when untagged. */
export const X_VLAN = 2;
export const X_SRC = 3;
export const X_DST = 7;

/** Words of the TCAM key (416 bits). */
export const TCAM_WORDS = 13;
export const TCAM_KEY_BITS = TCAM_WORDS * 32;
/** in_port << 24 | family << 16 | protocol << 8 | TOS. */
export const T_HEAD = 0;
/** EtherType << 16 | 0x1000 | VLAN id (low half 0 when untagged). */
export const T_ETHER = 1;
export const T_PORTS = 2;
/** TCP flags << 16 | high 16 bits of the destination MAC. */
export const T_FLAGS = 3;
export const T_ETH_DST_LO = 4;
export const T_SRC = 5;
export const T_DST = 9;

/** Builds the exact-match key of a parsed frame. */
export function buildExactKey(key: Uint32Array, out: Uint32Array): void {
  out[X_HEAD] = (key[K_IN_PORT] << 24) | (key[K_FAMILY] << 16) | (key[K_PROTO] << 8);
  out[X_PORTS] = (key[K_SPORT] << 16) | key[K_DPORT];
  out[X_VLAN] = key[K_VLAN_COUNT] === 0 ? 0 : 0x1000 | (key[K_VLAN_OUTER] & 0xfff);
  out[X_SRC] = key[K_SRC];
  out[X_DST] = key[K_DST];
  // The parser leaves words 1 to 3 zero for IPv4.
  for (let i = 1; i < 4; i++) {
    out[X_SRC + i] = key[K_SRC + i];
    out[X_DST + i] = key[K_DST + i];
  }
}

/** Builds the TCAM key of a parsed frame. */
export function buildTcamKey(key: Uint32Array, out: Uint32Array): void {
  out[T_HEAD] = (key[K_IN_PORT] << 24) | (key[K_FAMILY] << 16) | (key[K_PROTO] << 8) | key[K_TOS];
  const vlan = key[K_VLAN_COUNT] === 0 ? 0 : 0x1000 | (key[K_VLAN_OUTER] & 0xfff);
  out[T_ETHER] = (key[K_ETHERTYPE] << 16) | vlan;
  out[T_PORTS] = (key[K_SPORT] << 16) | key[K_DPORT];
  out[T_FLAGS] = (key[K_TCP_FLAGS] << 16) | key[K_ETH_DST_HI];
  out[T_ETH_DST_LO] = key[K_ETH_DST_LO];
  for (let i = 0; i < 4; i++) {
    out[T_SRC + i] = key[K_SRC + i];
    out[T_DST + i] = key[K_DST + i];
  }
}
