// Offsets and numbers of the headers that the device knows: Ethernet II, 802.1Q/ad, IPv4 (RFC 791), IPv6 (RFC 8200),
// TCP (RFC 9293), UDP (RFC 768), ICMP. Offsets count from the start of their header.

export const ETH_HEADER_BYTES = 14;
export const ETH_TYPE_AT = 12;
export const VLAN_TAG_BYTES = 4;
export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_VLAN = 0x8100;
export const ETHERTYPE_QINQ = 0x88a8;

export const IPV4_HEADER_BYTES = 20;
export const IPV4_TOS_AT = 1;
export const IPV4_LENGTH_AT = 2;
export const IPV4_FRAGMENT_AT = 6;
export const IPV4_TTL_AT = 8;
export const IPV4_PROTO_AT = 9;
export const IPV4_CHECKSUM_AT = 10;
export const IPV4_SRC_AT = 12;
export const IPV4_DST_AT = 16;

export const IPV6_HEADER_BYTES = 40;
export const IPV6_LENGTH_AT = 4;
export const IPV6_NEXT_AT = 6;
export const IPV6_HOP_AT = 7;
export const IPV6_SRC_AT = 8;
export const IPV6_DST_AT = 24;

export const PROTO_HOPOPTS = 0;
export const PROTO_ICMP = 1;
export const PROTO_TCP = 6;
export const PROTO_UDP = 17;
export const PROTO_ROUTING = 43;
export const PROTO_FRAGMENT = 44;
export const PROTO_ESP = 50;
export const PROTO_AH = 51;
export const PROTO_ICMPV6 = 58;
export const PROTO_DSTOPTS = 60;
export const PROTO_SCTP = 132;

export const TCP_HEADER_BYTES = 20;
export const TCP_FLAGS_AT = 12;
export const TCP_CHECKSUM_AT = 16;
export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_ACK = 0x10;
export const UDP_HEADER_BYTES = 8;
export const UDP_LENGTH_AT = 4;
export const UDP_CHECKSUM_AT = 6;
