// The keys of tc-flower(8) and how each is written, one table for parser and printer.
//
// Forms: mac ADDR[/MASK|/LEN]; ip PREFIX of the family in the field's name; exact NUMBER; byte NUMBER[/HEXMASK] (ip_tos, ip_ttl:
// decimal, or hexadecimal where it is not decimal); decimal NUMBER[/MASK], both decimal (icmp, arp_op); hex VALUE[/MASK] both
// hexadecimal (tcp_flags); word VALUE[/MASK] in C notation (marks, zones); port NUMBER or LOW-HIGH; label: bytes from the left.
// Not here: geneve, vxlan, erspan options, mpls lse lists, cfm, pppoe, l2tpv3, num_of_vlans, hash: no fields for them.

import type { FieldName } from './rule.ts';

export type TcForm =
  'mac' | 'ipv4' | 'ip' | 'exact' | 'byte' | 'decimal' | 'hex' | 'word' | 'port' | 'label';

export interface TcKey {
  key: string;
  field: FieldName;
  form: TcForm;
}

/** `form: 'ip'` appears once per family: the value's family decides. Order is the order of printing. */
export const TC_KEYS: readonly TcKey[] = [
  { key: 'dst_mac', field: 'eth_dst', form: 'mac' },
  { key: 'src_mac', field: 'eth_src', form: 'mac' },
  { key: 'vlan_id', field: 'vlan_id', form: 'exact' },
  { key: 'vlan_prio', field: 'vlan_pcp', form: 'exact' },
  { key: 'cvlan_id', field: 'cvlan_id', form: 'exact' },
  { key: 'cvlan_prio', field: 'cvlan_pcp', form: 'exact' },
  { key: 'mpls_label', field: 'mpls_label', form: 'exact' },
  { key: 'mpls_tc', field: 'mpls_tc', form: 'exact' },
  { key: 'mpls_bos', field: 'mpls_bos', form: 'exact' },
  { key: 'mpls_ttl', field: 'mpls_ttl', form: 'exact' },
  { key: 'ip_tos', field: 'ip_tos', form: 'byte' },
  { key: 'ip_ttl', field: 'ip_ttl', form: 'byte' },
  { key: 'src_ip', field: 'ipv4_src', form: 'ip' },
  { key: 'src_ip', field: 'ipv6_src', form: 'ip' },
  { key: 'dst_ip', field: 'ipv4_dst', form: 'ip' },
  { key: 'dst_ip', field: 'ipv6_dst', form: 'ip' },
  { key: 'src_port', field: 'sport', form: 'port' },
  { key: 'dst_port', field: 'dport', form: 'port' },
  { key: 'tcp_flags', field: 'tcp_flags', form: 'hex' },
  { key: 'type', field: 'icmp_type', form: 'decimal' },
  { key: 'code', field: 'icmp_code', form: 'decimal' },
  { key: 'spi', field: 'spi', form: 'exact' },
  { key: 'arp_sip', field: 'arp_sip', form: 'ipv4' },
  { key: 'arp_tip', field: 'arp_tip', form: 'ipv4' },
  { key: 'arp_sha', field: 'arp_sha', form: 'mac' },
  { key: 'arp_tha', field: 'arp_tha', form: 'mac' },
  { key: 'enc_key_id', field: 'tun_id', form: 'exact' },
  { key: 'enc_src_ip', field: 'tun_ipv4_src', form: 'ip' },
  { key: 'enc_src_ip', field: 'tun_ipv6_src', form: 'ip' },
  { key: 'enc_dst_ip', field: 'tun_ipv4_dst', form: 'ip' },
  { key: 'enc_dst_ip', field: 'tun_ipv6_dst', form: 'ip' },
  { key: 'enc_src_port', field: 'tun_sport', form: 'exact' },
  { key: 'enc_dst_port', field: 'tun_dport', form: 'exact' },
  { key: 'enc_tos', field: 'tun_tos', form: 'byte' },
  { key: 'enc_ttl', field: 'tun_ttl', form: 'byte' },
  { key: 'ct_zone', field: 'ct_zone', form: 'word' },
  { key: 'ct_mark', field: 'ct_mark', form: 'word' },
  { key: 'ct_label', field: 'ct_label', form: 'label' },
];

/** arp_op's names. */
export const ARP_OPS: Record<string, number> = { request: 1, reply: 2 };

/** Fields that pedit can write: `munge HEADER WHAT set`, by field; 'L4' is tcp, udp or sctp by the rule's protocol. */
export const PEDIT_FIELDS: readonly { field: FieldName; header: string; what: string }[] = [
  { field: 'eth_dst', header: 'eth', what: 'dst' },
  { field: 'eth_src', header: 'eth', what: 'src' },
  { field: 'eth_type', header: 'eth', what: 'type' },
  { field: 'ipv4_src', header: 'ip', what: 'src' },
  { field: 'ipv4_dst', header: 'ip', what: 'dst' },
  { field: 'ip_tos', header: 'ip', what: 'tos' },
  { field: 'ip_ttl', header: 'ip', what: 'ttl' },
  { field: 'ip_proto', header: 'ip', what: 'protocol' },
  { field: 'ipv6_src', header: 'ip6', what: 'src' },
  { field: 'ipv6_dst', header: 'ip6', what: 'dst' },
  { field: 'ip_ttl', header: 'ip6', what: 'hoplimit' },
  { field: 'ip_tos', header: 'ip6', what: 'traffic_class' },
  { field: 'sport', header: 'L4', what: 'sport' },
  { field: 'dport', header: 'L4', what: 'dport' },
];
