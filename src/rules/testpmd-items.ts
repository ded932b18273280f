// Pattern items of testpmd's `flow create` and their fields: one table for parser and printer (DPDK testpmd guide, "Flow rules
// management"). Items stand in the order of headers; `eth / vlan / ipv4 / tcp` says EtherTypes and protocols by itself.
//
// Not here: raw, gre, nvgre, nsh, gtp, ah, esp options and further tunnels than VXLAN and Geneve, items of metadata but mark.

import * as names from './names.ts';
import type { FieldName } from './rule.ts';

export interface ItemField {
  name: string;
  field: FieldName;
}

export interface Item {
  name: string;
  fields: readonly ItemField[];
  /** What the item's presence says. */
  implies: readonly { field: FieldName; value: number }[];
}

/** Headers, outermost first. Fields of `vlan` are those of the outer tag; a second `vlan` is renamed to cvlan. */
export const ITEMS: readonly Item[] = [
  {
    name: 'eth',
    fields: [
      { name: 'dst', field: 'eth_dst' },
      { name: 'src', field: 'eth_src' },
      { name: 'type', field: 'eth_type' },
    ],
    implies: [],
  },
  {
    name: 'vlan',
    fields: [
      { name: 'pcp', field: 'vlan_pcp' },
      { name: 'dei', field: 'vlan_dei' },
      { name: 'vid', field: 'vlan_id' },
      { name: 'inner_type', field: 'eth_type' },
    ],
    implies: [{ field: 'vlan_tpid', value: names.ETH_VLAN }],
  },
  {
    name: 'mpls',
    fields: [
      { name: 'label', field: 'mpls_label' },
      { name: 'tc', field: 'mpls_tc' },
      { name: 's', field: 'mpls_bos' },
      { name: 'ttl', field: 'mpls_ttl' },
    ],
    implies: [{ field: 'eth_type', value: names.ETH_MPLS_UC }],
  },
  {
    name: 'arp_eth_ipv4',
    fields: [
      { name: 'sha', field: 'arp_sha' },
      { name: 'spa', field: 'arp_sip' },
      { name: 'tha', field: 'arp_tha' },
      { name: 'tpa', field: 'arp_tip' },
    ],
    implies: [{ field: 'eth_type', value: names.ETH_ARP }],
  },
  {
    name: 'ipv4',
    fields: [
      { name: 'tos', field: 'ip_tos' },
      { name: 'fragment_offset', field: 'ip_frag' },
      { name: 'ttl', field: 'ip_ttl' },
      { name: 'proto', field: 'ip_proto' },
      { name: 'src', field: 'ipv4_src' },
      { name: 'dst', field: 'ipv4_dst' },
    ],
    implies: [{ field: 'eth_type', value: names.ETH_IPV4 }],
  },
  {
    name: 'ipv6',
    fields: [
      { name: 'tc', field: 'ip_tos' },
      { name: 'flow', field: 'ipv6_label' },
      { name: 'proto', field: 'ip_proto' },
      { name: 'hop', field: 'ip_ttl' },
      { name: 'src', field: 'ipv6_src' },
      { name: 'dst', field: 'ipv6_dst' },
    ],
    implies: [{ field: 'eth_type', value: names.ETH_IPV6 }],
  },
  {
    name: 'tcp',
    fields: [
      { name: 'src', field: 'sport' },
      { name: 'dst', field: 'dport' },
      { name: 'flags', field: 'tcp_flags' },
    ],
    implies: [{ field: 'ip_proto', value: names.PROTO_TCP }],
  },
  {
    name: 'udp',
    fields: [
      { name: 'src', field: 'sport' },
      { name: 'dst', field: 'dport' },
    ],
    implies: [{ field: 'ip_proto', value: names.PROTO_UDP }],
  },
  {
    name: 'sctp',
    fields: [
      { name: 'src', field: 'sport' },
      { name: 'dst', field: 'dport' },
    ],
    implies: [{ field: 'ip_proto', value: names.PROTO_SCTP }],
  },
  {
    name: 'icmp',
    fields: [
      { name: 'type', field: 'icmp_type' },
      { name: 'code', field: 'icmp_code' },
    ],
    implies: [{ field: 'ip_proto', value: names.PROTO_ICMP }],
  },
  {
    name: 'icmp6',
    fields: [
      { name: 'type', field: 'icmp_type' },
      { name: 'code', field: 'icmp_code' },
    ],
    implies: [{ field: 'ip_proto', value: names.PROTO_ICMPV6 }],
  },
  {
    name: 'esp',
    fields: [{ name: 'spi', field: 'spi' }],
    implies: [{ field: 'ip_proto', value: 50 }],
  },
];

/** Items about the packet, not in it. */
export const META_ITEMS: readonly Item[] = [
  { name: 'mark', fields: [{ name: 'id', field: 'skb_mark' }], implies: [] },
  { name: 'port_id', fields: [{ name: 'id', field: 'in_port' }], implies: [] },
  {
    name: 'port_representor',
    fields: [{ name: 'port_id', field: 'in_port' }],
    implies: [],
  },
  {
    name: 'represented_port',
    fields: [{ name: 'ethdev_port_id', field: 'in_port' }],
    implies: [],
  },
];

/** UDP tunnels: the item that ends the outer headers, and the port that says which it is. */
export const TUNNEL_ITEMS: readonly { name: string; port: number }[] = [
  { name: 'vxlan', port: 4789 },
  { name: 'geneve', port: 6081 },
];

/** Outer header fields by the name that they have as a packet's own. */
export const OUTER_FIELDS: Partial<Record<FieldName, FieldName>> = {
  ipv4_src: 'tun_ipv4_src',
  ipv4_dst: 'tun_ipv4_dst',
  ipv6_src: 'tun_ipv6_src',
  ipv6_dst: 'tun_ipv6_dst',
  ip_tos: 'tun_tos',
  ip_ttl: 'tun_ttl',
  sport: 'tun_sport',
  dport: 'tun_dport',
};

/** Fields of the second tag by their name in the first. */
export const SECOND_TAG: Partial<Record<FieldName, FieldName>> = {
  vlan_tpid: 'cvlan_tpid',
  vlan_id: 'cvlan_id',
  vlan_pcp: 'cvlan_pcp',
  vlan_dei: 'cvlan_dei',
};

/** More-fragments bit and fragment offset of IPv4: zero under this mask is a whole packet. */
export const FRAGMENT_MASK = 0x3fff;
