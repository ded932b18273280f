// The neutral rule: what every dialect of flow rules (tc flower, ethtool -N, testpmd, OVS datapath, ClassBench) is read
// into and printed from, and what placement, `fit` and the classifiers take.
//
// - Fields are named by meaning and hold plain numbers in 32-bit words, most significant word first. What a dialect implies
//   (ethtool's `tcp4`, testpmd's `ipv4 / tcp`, ClassBench's addresses) is explicit here: eth_type, ip_proto.
// - Masks are CARE masks (1 = compared), whatever the dialect's direction. A field that is not compared is not listed.
// - Lower `priority` wins; equal ones go by `order`, the rule's place in the file. How each dialect's direction maps:
//   tc pref: lower wins (none given: 49152 for the first of a chain, then one below the chain's lowest, so later wins);
//   rte_flow priority: lower wins; ethtool loc: lower wins (none given: highest free one); OpenFlow: higher wins (negated);
//   ClassBench: earlier line wins (priority = line's index); OVS datapath flows: none, they do not overlap.
// - A rule with eth_type but no vlan field is about packets whose Ethernet header is followed by that type: untagged.
//
// Schema in prose and as JSON: docs/rules.md. Not here: encoding into a device's key (placement does that).

/** Fields in canonical order with their width in bits. Rules list their matches in this order. */
export const FIELD_BITS = {
  /** Number of the port of arrival. */
  in_port: 32,
  eth_dst: 48,
  eth_src: 48,
  /** EtherType after the tags that vlan_* and cvlan_* speak of. */
  eth_type: 16,
  /** Outer tag: 0x8100 or 0x88a8; a match on it says that there is a tag. */
  vlan_tpid: 16,
  vlan_id: 12,
  vlan_pcp: 3,
  vlan_dei: 1,
  /** Second tag. */
  cvlan_tpid: 16,
  cvlan_id: 12,
  cvlan_pcp: 3,
  cvlan_dei: 1,
  mpls_label: 20,
  mpls_tc: 3,
  mpls_bos: 1,
  mpls_ttl: 8,
  /** IPv4 protocol, IPv6 next header after extension headers. */
  ip_proto: 8,
  /** Whole DS byte: IPv4 TOS, IPv6 traffic class. */
  ip_tos: 8,
  /** IPv4 TTL, IPv6 hop limit. */
  ip_ttl: 8,
  /** Bit 0: a fragment; bit 1: a first one (flower's two flags). Whole 0, first 3, later 1. */
  ip_frag: 2,
  ipv4_src: 32,
  ipv4_dst: 32,
  ipv6_src: 128,
  ipv6_dst: 128,
  ipv6_label: 20,
  /** Ports of TCP, UDP and SCTP. */
  sport: 16,
  dport: 16,
  /** FIN is bit 0; 12 bits. */
  tcp_flags: 12,
  /** ICMP and ICMPv6. */
  icmp_type: 8,
  icmp_code: 8,
  /** First four bytes after the IP header (ethtool's l4data). */
  l4_data: 32,
  /** Security parameter index of AH and ESP. */
  spi: 32,
  arp_op: 16,
  arp_sip: 32,
  arp_tip: 32,
  arp_sha: 48,
  arp_tha: 48,
  nd_target: 128,
  nd_sll: 48,
  nd_tll: 48,
  /** Tunnel that the packet came out of: VNI, GRE key. */
  tun_id: 64,
  tun_ipv4_src: 32,
  tun_ipv4_dst: 32,
  tun_ipv6_src: 128,
  tun_ipv6_dst: 128,
  tun_tos: 8,
  tun_ttl: 8,
  tun_sport: 16,
  tun_dport: 16,
  /** Outer header: df 1, csum 2, key 4, oam 8. */
  tun_flags: 4,
  /** Conntrack: bits new 0x01, est 0x02, rel 0x04, rpl 0x08, inv 0x10, trk 0x20, snat 0x40, dnat 0x80. */
  ct_state: 8,
  ct_zone: 16,
  ct_mark: 32,
  /** As one number: bit 0 is the lowest bit of the label's first byte in memory. */
  ct_label: 128,
  skb_priority: 32,
  skb_mark: 32,
  dp_hash: 32,
  /** ethtool's user-def: means what the driver says it means. */
  user_def: 64,
} as const;

export type FieldName = keyof typeof FIELD_BITS;
export const FIELD_NAMES = Object.keys(FIELD_BITS) as FieldName[];

/** Line and column from 1; column 0 where only the line is known. */
export interface Place {
  line: number;
  column: number;
}

/** One field compared under a care mask; words most significant first, ceil(bits / 32) of them; value within mask. */
export interface MaskMatch {
  field: FieldName;
  kind: 'mask';
  value: number[];
  mask: number[];
  at: Place;
}

/** One field within low..high, both included; only fields of up to 32 bits. */
export interface RangeMatch {
  field: FieldName;
  kind: 'range';
  low: number;
  high: number;
  at: Place;
}

export type FieldMatch = MaskMatch | RangeMatch;

/** What to do with a tunnel header that is put around the packet. */
export interface TunnelHeader {
  /** VNI or key; null where none is set. */
  id: number | null;
  /** Text addresses, both of one family. */
  src: string;
  dst: string;
  dstPort: number | null;
  tos: number | null;
  ttl: number | null;
  /** Outer UDP checksum; outer IPv4 "don't fragment". */
  checksum: boolean;
  dontFragment: boolean;
}

/** Source or destination translation of a ct action; addresses as text, ports 0 for none. */
export interface NatRange {
  direction: 'src' | 'dst';
  /** '' for none. */
  addressLow: string;
  addressHigh: string;
  portLow: number;
  portHigh: number;
}

/** Where a packet of a policed flow goes; 'pipe' is on to the next action. */
export type MeterVerdict = 'drop' | 'pass' | 'pipe' | 'reclassify';

/** One step; a rule's actions run in order, and a list without a final verdict ends in 'pass'. */
export type Action = { at: Place } & (
  | { kind: 'drop' }
  /** Accept: on to the host, or out of the classifier, unchanged. */
  | { kind: 'pass' }
  /** On with the rules of lower precedence (tc `continue`, rte_flow `passthru`). */
  | { kind: 'continue' }
  /** To the CPU instead of forwarding (tc `trap`, OVS userspace). `detail`: OVS's upcall arguments, else ''. */
  | { kind: 'trap'; detail: string }
  /** Send out of a port and stop (names as the dialect has them: 'os2', '2'). */
  | { kind: 'output'; port: string }
  /** Send a copy out of a port and go on. */
  | { kind: 'mirror'; port: string }
  | { kind: 'queue'; index: number }
  /** To a virtual function; queue −1 where none is named. */
  | { kind: 'vf'; id: number; queue: number }
  | { kind: 'rss'; queues: number[] }
  /** Set the packet's mark under a care mask. */
  | { kind: 'mark'; value: number; mask: number }
  /** Write a field under a mask; words as in MaskMatch. */
  | { kind: 'set_field'; field: FieldName; value: number[]; mask: number[] }
  | { kind: 'dec_ttl' }
  | { kind: 'push_vlan'; tpid: number; id: number; pcp: number }
  | { kind: 'pop_vlan' }
  | { kind: 'push_mpls'; tpid: number; label: number; tc: number; ttl: number; bos: number }
  /** tpid: EtherType of what is below. */
  | { kind: 'pop_mpls'; tpid: number }
  | { kind: 'encap'; tunnel: TunnelHeader }
  | { kind: 'decap' }
  | { kind: 'count' }
  /** Policer inside the rule; bytes and bytes per second. */
  | {
      kind: 'police';
      rateBytesPerS: number;
      burstBytes: number;
      /** 0 for none. */
      mtuBytes: number;
      exceed: MeterVerdict;
      conform: MeterVerdict;
    }
  /** Meter configured elsewhere. */
  | { kind: 'meter'; id: number }
  /** Copies one packet of `rate` to a sampling group; 0 for whole packets. */
  | { kind: 'sample'; rate: number; group: number; truncBytes: number }
  /** On in another table: tc chain, rte_flow group, OVS recirculation id. */
  | { kind: 'goto'; group: number }
  | {
      kind: 'ct';
      commit: boolean;
      force: boolean;
      clear: boolean;
      /** 0 is the default zone. */
      zone: number;
      mark: { value: number; mask: number } | null;
      label: { value: number[]; mask: number[] } | null;
      /** 'restore' is `nat` without an address; null for none. */
      nat: NatRange | 'restore' | null;
    }
  /** Recompute checksums of these headers (implied by set_field elsewhere). */
  | { kind: 'checksum'; headers: string[] }
);

export type ActionKind = Action['kind'];

export type Dialect = 'tc' | 'ethtool' | 'testpmd' | 'ovs' | 'classbench';
export const DIALECTS: readonly Dialect[] = ['tc', 'ethtool', 'testpmd', 'ovs', 'classbench'];

/** Where a rule was read; `text` is its line without the line end. */
export interface RuleSource {
  dialect: Dialect;
  file: string;
  line: number;
  column: number;
  text: string;
}

export interface Rule {
  matches: FieldMatch[];
  actions: Action[];
  /** Lower wins. */
  priority: number;
  /** False where the dialect's text did not say it and the default was taken. */
  priorityGiven: boolean;
  /** 0-based place among the rules of the file: the tie-break, and the rule's number in reports. */
  order: number;
  /** tc chain, rte_flow group; 0 is where packets start. */
  group: number;
  /** Device or port that the rule hangs on, as written ('p0', '0'); '' where the dialect has none. */
  device: string;
  direction: 'ingress' | 'egress';
  /** Who runs it: both, hardware only (tc skip_sw), software only (tc skip_hw). */
  residence: 'any' | 'hardware' | 'software';
  /** The user's id of the rule (tc handle); 0 for none. */
  handle: number;
  source: RuleSource;
}

/** Words that a field takes. */
export function fieldWords(field: FieldName): number {
  return Math.ceil(FIELD_BITS[field] / 32);
}

/** All ones in the field's width. */
export function fullMask(field: FieldName): number[] {
  return prefixMask(field, FIELD_BITS[field]);
}

/** A mask of the field's `lengthBits` most significant bits. */
export function prefixMask(field: FieldName, lengthBits: number): number[] {
  const bits = FIELD_BITS[field];
  const words = new Array<number>(fieldWords(field)).fill(0);
  for (let bit = bits - 1; bit >= bits - lengthBits; bit--) {
    const at = words.length - 1 - (bit >>> 5);
    words[at] = (words[at] | (1 << (bit & 31))) >>> 0;
  }
  return words;
}

/** Length of a mask that is a prefix of the field, −1 for any other mask. */
export function prefixLength(field: FieldName, mask: readonly number[]): number {
  const bits = FIELD_BITS[field];
  let length = 0;
  let ended = false;
  for (let bit = bits - 1; bit >= 0; bit--) {
    const set = (mask[mask.length - 1 - (bit >>> 5)] >>> (bit & 31)) & 1;
    if (set === 1 && ended) return -1;
    if (set === 1) length++;
    else ended = true;
  }
  return length;
}

/** The mask under which `low` stands for low..high and nothing else; null when it takes several values and masks. */
export function rangeAsMask(low: number, high: number, widthBits: number): number | null {
  const size = high - low + 1;
  const bits = Math.log2(size);
  if (!Number.isInteger(bits) || low % size !== 0) return null;
  return (2 ** widthBits - size) >>> 0;
}

/** An action's members without its place in the text: two actions are the same if these are. */
export function actionFacts(action: Action): Record<string, unknown> {
  return Object.fromEntries(Object.entries(action).filter(([name]) => name !== 'at'));
}

/** Which of two rules wins where both match: negative for `a`. Rules of different groups are not comparable. */
export function compareRules(a: Rule, b: Rule): number {
  return a.priority - b.priority || a.order - b.order;
}

/** The match on a field, null for none. */
export function matchOf(rule: Rule, field: FieldName): FieldMatch | null {
  return rule.matches.find((match) => match.field === field) ?? null;
}

/**
 * Canonical form: fields in FIELD_NAMES' order, values within masks, nothing that always matches, ranges that one mask
 * says as masks. A field must be listed at most once.
 */
export function canonicalMatches(matches: readonly FieldMatch[]): FieldMatch[] {
  const kept: FieldMatch[] = [];
  for (const match of matches) {
    if (match.kind === 'mask') {
      if (match.mask.every((word) => word === 0)) continue;
      const value = match.value.map((word, at) => (word & match.mask[at]) >>> 0);
      if (match.field === 'ip_frag') kept.push({ ...match, ...canonicalFragment(match, value[0]) });
      else kept.push({ ...match, value, mask: [...match.mask] });
      continue;
    }
    const mask = rangeAsMask(match.low, match.high, FIELD_BITS[match.field]);
    if (mask === 0) continue;
    const { field, at } = match;
    if (mask === null) kept.push(match);
    else kept.push({ field, kind: 'mask', value: [match.low], mask: [mask], at });
  }
  return kept.sort((a, b) => FIELD_NAMES.indexOf(a.field) - FIELD_NAMES.indexOf(b.field));
}

/** A first fragment is a fragment, and what is no fragment is no first one. */
function canonicalFragment(match: MaskMatch, value: number): Pick<MaskMatch, 'value' | 'mask'> {
  const [mask] = match.mask;
  if ((value & 2) === 2) return { value: [3], mask: [3] };
  if ((mask & 1) === 1 && (value & 1) === 0) return { value: [0], mask: [1] };
  return { value: [value], mask: [mask] };
}
