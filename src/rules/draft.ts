// A rule in the making: what all parsers do with a field once they have its value, and what must hold in the end.
//
// A field may be given once. Fields depend on others as headers do (`PREREQUISITES`): a port needs a protocol that has ports,
// an IPv6 address an EtherType. tc and OVS refuse rules that break this; printers refuse what their target would.

import { RuleSyntaxError } from './scan.ts';
import { canonicalMatches, fullMask, matchOf } from './rule.ts';
import type { Action, Dialect, FieldMatch, FieldName, Place, Rule } from './rule.ts';
import * as names from './names.ts';
import { exactValue } from './values.ts';

export class RuleDraft {
  readonly file: string;
  readonly dialect: Dialect;
  readonly matches: FieldMatch[] = [];
  actions: Action[] = [];
  priority = 0;
  priorityGiven = false;
  group = 0;
  device = '';
  direction: 'ingress' | 'egress' = 'ingress';
  residence: 'any' | 'hardware' | 'software' = 'any';
  handle = 0;

  constructor(file: string, dialect: Dialect) {
    this.file = file;
    this.dialect = dialect;
  }

  /** Adds a match; throws RuleSyntaxError for a field that has one. */
  add(match: FieldMatch): void {
    const given = this.matches.find((one) => one.field === match.field);
    if (given !== undefined)
      throw new RuleSyntaxError(this.file, match.at, `${match.field} once`, 'it again');
    this.matches.push(match);
  }

  mask(field: FieldName, value: number[], mask: number[], at: Place): void {
    this.add({ field, kind: 'mask', value, mask, at });
  }

  exact(field: FieldName, value: number, at: Place): void {
    this.mask(field, [value], fullMask(field), at);
  }

  range(field: FieldName, low: number, high: number, at: Place): void {
    this.add({ field, kind: 'range', low, high, at });
  }

  /** Exact value given so far, −1 for none. */
  exactOf(field: FieldName): number {
    return exactValue(this.matches.find((match) => match.field === field) ?? null);
  }

  act(action: Action): void {
    this.actions.push(action);
  }

  build(line: number, text: string): Rule {
    return {
      matches: canonicalMatches(this.matches),
      actions: this.actions,
      priority: this.priority,
      priorityGiven: this.priorityGiven,
      order: 0,
      group: this.group,
      device: this.device,
      direction: this.direction,
      residence: this.residence,
      handle: this.handle,
      source: { dialect: this.dialect, file: this.file, line, column: 1, text },
    };
  }
}

interface Prerequisite {
  on: FieldName;
  values: readonly number[];
  /** As told to a person. */
  needs: string;
}

const ARP: Prerequisite = {
  on: 'eth_type',
  values: [names.ETH_ARP, names.ETH_RARP],
  needs: 'eth_type arp',
};
const IP: Prerequisite = {
  on: 'eth_type',
  values: [names.ETH_IPV4, names.ETH_IPV6],
  needs: 'eth_type ip or ipv6',
};
const IPV4: Prerequisite = { on: 'eth_type', values: [names.ETH_IPV4], needs: 'eth_type ip' };
const IPV6: Prerequisite = { on: 'eth_type', values: [names.ETH_IPV6], needs: 'eth_type ipv6' };
const MPLS: Prerequisite = {
  on: 'eth_type',
  values: [names.ETH_MPLS_UC, names.ETH_MPLS_MC],
  needs: 'eth_type mpls_uc or mpls_mc',
};
const VLAN: Prerequisite = {
  on: 'vlan_tpid',
  values: [names.ETH_VLAN, names.ETH_QINQ],
  needs: 'vlan_tpid 802.1Q or 802.1ad',
};
const CVLAN: Prerequisite = {
  on: 'cvlan_tpid',
  values: [names.ETH_VLAN, names.ETH_QINQ],
  needs: 'cvlan_tpid 802.1Q or 802.1ad',
};
const PORTS: Prerequisite = {
  on: 'ip_proto',
  values: [names.PROTO_TCP, names.PROTO_UDP, names.PROTO_SCTP],
  needs: 'ip_proto tcp, udp or sctp',
};
const ICMP: Prerequisite = {
  on: 'ip_proto',
  values: [names.PROTO_ICMP, names.PROTO_ICMPV6],
  needs: 'ip_proto icmp or icmpv6',
};
const ND: Prerequisite = {
  on: 'ip_proto',
  values: [names.PROTO_ICMPV6],
  needs: 'ip_proto icmpv6',
};
const TCP: Prerequisite = { on: 'ip_proto', values: [names.PROTO_TCP], needs: 'ip_proto tcp' };
const IPSEC: Prerequisite = {
  on: 'ip_proto',
  values: [names.PROTO_AH, names.PROTO_ESP],
  needs: 'ip_proto 50 (esp) or 51 (ah)',
};

const PREREQUISITES: Partial<Record<FieldName, Prerequisite>> = {
  vlan_id: VLAN,
  vlan_pcp: VLAN,
  vlan_dei: VLAN,
  cvlan_tpid: VLAN,
  cvlan_id: CVLAN,
  cvlan_pcp: CVLAN,
  cvlan_dei: CVLAN,
  mpls_label: MPLS,
  mpls_tc: MPLS,
  mpls_bos: MPLS,
  mpls_ttl: MPLS,
  ip_proto: IP,
  ip_tos: IP,
  ip_ttl: IP,
  ip_frag: IP,
  ipv4_src: IPV4,
  ipv4_dst: IPV4,
  ipv6_src: IPV6,
  ipv6_dst: IPV6,
  ipv6_label: IPV6,
  sport: PORTS,
  dport: PORTS,
  tcp_flags: TCP,
  icmp_type: ICMP,
  icmp_code: ICMP,
  l4_data: IP,
  spi: IPSEC,
  arp_op: ARP,
  arp_sip: ARP,
  arp_tip: ARP,
  arp_sha: ARP,
  arp_tha: ARP,
  nd_target: ND,
  nd_sll: ND,
  nd_tll: ND,
};

/** The first match whose header nothing says is there, and what would say it; null when all is well. */
export function missingPrerequisite(rule: Rule): { match: FieldMatch; needs: string } | null {
  for (const match of rule.matches) {
    const wanted = PREREQUISITES[match.field];
    if (wanted === undefined) continue;
    if (!wanted.values.includes(exactValue(matchOf(rule, wanted.on))))
      return { match, needs: wanted.needs };
  }
  return null;
}
