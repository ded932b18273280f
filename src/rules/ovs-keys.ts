// The keys of OVS datapath flows and how each is written (odp-util's text form), one table for parser and printer.
//
// Forms: number (value decimal, mask hexadecimal), hex (both), mac, ip. Order of keys and of their parts is the datapath's.
// tunnel, eth_type, vlan, encap, frag, ct_state and tcp_flags have syntax of their own (ovs-parse.ts, ovs-print.ts).
// Not here: ct_tuple4|6, packet types but Ethernet, options of Geneve, VXLAN and ERSPAN, NSH, several MPLS labels.

import type { FieldName } from './rule.ts';

export type OvsForm = 'number' | 'hex' | 'mac' | 'ip';

export interface OvsPart {
  name: string;
  field: FieldName;
  form: OvsForm;
}

/** Keys of one value. */
export const OVS_SCALARS: readonly { key: string; field: FieldName; form: OvsForm }[] = [
  { key: 'dp_hash', field: 'dp_hash', form: 'hex' },
  { key: 'skb_priority', field: 'skb_priority', form: 'hex' },
  { key: 'skb_mark', field: 'skb_mark', form: 'hex' },
  { key: 'ct_zone', field: 'ct_zone', form: 'hex' },
  { key: 'ct_mark', field: 'ct_mark', form: 'hex' },
  { key: 'ct_label', field: 'ct_label', form: 'hex' },
];

export const OVS_TUNNEL: readonly OvsPart[] = [
  { name: 'tun_id', field: 'tun_id', form: 'hex' },
  { name: 'src', field: 'tun_ipv4_src', form: 'ip' },
  { name: 'dst', field: 'tun_ipv4_dst', form: 'ip' },
  { name: 'ipv6_src', field: 'tun_ipv6_src', form: 'ip' },
  { name: 'ipv6_dst', field: 'tun_ipv6_dst', form: 'ip' },
  { name: 'tos', field: 'tun_tos', form: 'hex' },
  { name: 'ttl', field: 'tun_ttl', form: 'number' },
  { name: 'tp_src', field: 'tun_sport', form: 'number' },
  { name: 'tp_dst', field: 'tun_dport', form: 'number' },
];

/** Flags of a tunnel header, bits of tun_flags. */
export const OVS_TUNNEL_FLAGS = ['df', 'csum', 'key', 'oam'] as const;

/** Flags of tcp_flags, bits from FIN. */
export const OVS_TCP_FLAGS = [
  'fin',
  'syn',
  'rst',
  'psh',
  'ack',
  'urg',
  'ece',
  'cwr',
  'ns',
] as const;

/** Keys of several parts, in order of printing; `proto` is the IP protocol that the key needs, 0 for none. */
export const OVS_GROUPS: readonly { key: string; proto: number; parts: readonly OvsPart[] }[] = [
  {
    key: 'eth',
    proto: 0,
    parts: [
      { name: 'src', field: 'eth_src', form: 'mac' },
      { name: 'dst', field: 'eth_dst', form: 'mac' },
    ],
  },
  {
    key: 'mpls',
    proto: 0,
    parts: [
      { name: 'label', field: 'mpls_label', form: 'number' },
      { name: 'tc', field: 'mpls_tc', form: 'number' },
      { name: 'ttl', field: 'mpls_ttl', form: 'number' },
      { name: 'bos', field: 'mpls_bos', form: 'number' },
    ],
  },
  {
    key: 'ipv4',
    proto: 0,
    parts: [
      { name: 'src', field: 'ipv4_src', form: 'ip' },
      { name: 'dst', field: 'ipv4_dst', form: 'ip' },
      { name: 'proto', field: 'ip_proto', form: 'number' },
      { name: 'tos', field: 'ip_tos', form: 'hex' },
      { name: 'ttl', field: 'ip_ttl', form: 'number' },
      { name: 'frag', field: 'ip_frag', form: 'number' },
    ],
  },
  {
    key: 'ipv6',
    proto: 0,
    parts: [
      { name: 'src', field: 'ipv6_src', form: 'ip' },
      { name: 'dst', field: 'ipv6_dst', form: 'ip' },
      { name: 'label', field: 'ipv6_label', form: 'hex' },
      { name: 'proto', field: 'ip_proto', form: 'number' },
      { name: 'tclass', field: 'ip_tos', form: 'hex' },
      { name: 'hlimit', field: 'ip_ttl', form: 'number' },
      { name: 'frag', field: 'ip_frag', form: 'number' },
    ],
  },
  {
    key: 'arp',
    proto: 0,
    parts: [
      { name: 'sip', field: 'arp_sip', form: 'ip' },
      { name: 'tip', field: 'arp_tip', form: 'ip' },
      { name: 'op', field: 'arp_op', form: 'number' },
      { name: 'sha', field: 'arp_sha', form: 'mac' },
      { name: 'tha', field: 'arp_tha', form: 'mac' },
    ],
  },
  { key: 'tcp', proto: 6, parts: ports() },
  { key: 'udp', proto: 17, parts: ports() },
  { key: 'sctp', proto: 132, parts: ports() },
  { key: 'icmp', proto: 1, parts: icmp() },
  { key: 'icmpv6', proto: 58, parts: icmp() },
  {
    key: 'nd',
    proto: 58,
    parts: [
      { name: 'target', field: 'nd_target', form: 'ip' },
      { name: 'sll', field: 'nd_sll', form: 'mac' },
      { name: 'tll', field: 'nd_tll', form: 'mac' },
    ],
  },
];

function ports(): OvsPart[] {
  return [
    { name: 'src', field: 'sport', form: 'number' },
    { name: 'dst', field: 'dport', form: 'number' },
  ];
}

function icmp(): OvsPart[] {
  return [
    { name: 'type', field: 'icmp_type', form: 'number' },
    { name: 'code', field: 'icmp_code', form: 'number' },
  ];
}

/** Values of `frag`. */
export const OVS_FRAG: Record<string, { value: number; mask: number }> = {
  no: { value: 0, mask: 3 },
  first: { value: 3, mask: 3 },
  later: { value: 1, mask: 3 },
};
