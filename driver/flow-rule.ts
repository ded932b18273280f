// struct flow_rule: what the stack asks a driver to match and to do, for tc filters and flowtable entries alike
// (include/net/flow_offload.h of Linux 6.1, names and numbers kept).
//
// A match is a set of dissector keys, each a value and a care mask; `usedKeys` has one bit per key, as `used_keys` in the
// kernel, and a driver refuses (EOPNOTSUPP) a rule that uses a key it does not know. Numbers are plain numbers, addresses
// and labels bytes in network order. Actions run in order.
//
// Not here: keys and actions that no part of this project makes (TIPC, flow label, hash, number of VLANs, L2TPv3; gate,
// wake, ptype): they have their bit or number, no structure.

import type { NetDevice } from './netdev.ts';

// --- match ------------------------------------------------------------------------------------------------------

/** enum flow_dissector_key_id: bit numbers of `usedKeys`. */
export const FLOW_DISSECTOR_KEY_CONTROL = 0;
export const FLOW_DISSECTOR_KEY_BASIC = 1;
export const FLOW_DISSECTOR_KEY_IPV4_ADDRS = 2;
export const FLOW_DISSECTOR_KEY_IPV6_ADDRS = 3;
export const FLOW_DISSECTOR_KEY_PORTS = 4;
export const FLOW_DISSECTOR_KEY_PORTS_RANGE = 5;
export const FLOW_DISSECTOR_KEY_ICMP = 6;
export const FLOW_DISSECTOR_KEY_ETH_ADDRS = 7;
export const FLOW_DISSECTOR_KEY_ARP = 9;
export const FLOW_DISSECTOR_KEY_VLAN = 10;
export const FLOW_DISSECTOR_KEY_ENC_KEYID = 14;
export const FLOW_DISSECTOR_KEY_ENC_IPV4_ADDRS = 15;
export const FLOW_DISSECTOR_KEY_ENC_IPV6_ADDRS = 16;
export const FLOW_DISSECTOR_KEY_ENC_CONTROL = 17;
export const FLOW_DISSECTOR_KEY_ENC_PORTS = 18;
export const FLOW_DISSECTOR_KEY_MPLS = 19;
export const FLOW_DISSECTOR_KEY_TCP = 20;
export const FLOW_DISSECTOR_KEY_IP = 21;
export const FLOW_DISSECTOR_KEY_CVLAN = 22;
export const FLOW_DISSECTOR_KEY_ENC_IP = 23;
export const FLOW_DISSECTOR_KEY_META = 25;
export const FLOW_DISSECTOR_KEY_CT = 26;

/** A key: what is compared, and which bits of it (1 = compared). */
export interface KeyMask<T> {
  key: T;
  mask: T;
}

export interface FlowKeyMeta {
  ingressIfindex: number;
}

/** `addrType` of FlowKeyControl: the key that holds the addresses, as enum flow_dissector_key_id. */
export interface FlowKeyControl {
  addrType: number;
  /** FLOW_DIS_IS_FRAGMENT 1, FLOW_DIS_FIRST_FRAG 2, FLOW_DIS_ENCAPSULATION 4. */
  flags: number;
}
export const FLOW_DIS_IS_FRAGMENT = 1;
export const FLOW_DIS_FIRST_FRAG = 2;

export interface FlowKeyBasic {
  /** EtherType behind the tags. */
  nProto: number;
  ipProto: number;
}

/** 4 bytes each for IPv4, 16 for IPv6. */
export interface FlowKeyAddrs {
  src: Uint8Array;
  dst: Uint8Array;
}

export interface FlowKeyPorts {
  src: number;
  dst: number;
}

/** Bounds are both included; they stand in `key`, the mask says only which of the two ports has one (0 or 0xffff). */
export interface FlowKeyPortsRange {
  srcMin: number;
  srcMax: number;
  dstMin: number;
  dstMax: number;
}

export interface FlowKeyIcmp {
  type: number;
  code: number;
}

export interface FlowKeyEthAddrs {
  src: Uint8Array;
  dst: Uint8Array;
}

export interface FlowKeyArp {
  op: number;
  sip: Uint8Array;
  tip: Uint8Array;
  sha: Uint8Array;
  tha: Uint8Array;
}

export interface FlowKeyVlan {
  id: number;
  priority: number;
  /** EtherType of the tag. */
  tpid: number;
  /** EtherType behind the tag (`vlan_ethtype`). */
  ethType: number;
}

/** The first label; further ones (lse depth > 1) are not matched here. */
export interface FlowKeyMpls {
  label: number;
  tc: number;
  bos: number;
  ttl: number;
}

export interface FlowKeyTcp {
  /** FIN is bit 0; 12 bits. */
  flags: number;
}

export interface FlowKeyIp {
  tos: number;
  ttl: number;
}

export interface FlowKeyEncKeyid {
  keyid: number;
}

export interface FlowKeyCt {
  /** TCA_FLOWER_KEY_CT_FLAGS_*: new 1, est 2, rel 4, trk 8, inv 16, rpl 32. */
  state: number;
  zone: number;
  mark: number;
  /** 16 bytes. */
  label: Uint8Array;
}

/**
 * struct flow_match. A key is null exactly when its bit in `usedKeys` is clear. IPv4 and IPv6 addresses share storage in the
 * kernel, so both bits may be set for either: `control.key.addrType` tells which is meant.
 */
export interface FlowMatch {
  usedKeys: number;
  meta: KeyMask<FlowKeyMeta> | null;
  control: KeyMask<FlowKeyControl>;
  basic: KeyMask<FlowKeyBasic>;
  ethAddrs: KeyMask<FlowKeyEthAddrs> | null;
  vlan: KeyMask<FlowKeyVlan> | null;
  cvlan: KeyMask<FlowKeyVlan> | null;
  ipv4: KeyMask<FlowKeyAddrs> | null;
  ipv6: KeyMask<FlowKeyAddrs> | null;
  ip: KeyMask<FlowKeyIp> | null;
  ports: KeyMask<FlowKeyPorts> | null;
  portsRange: KeyMask<FlowKeyPortsRange> | null;
  icmp: KeyMask<FlowKeyIcmp> | null;
  tcp: KeyMask<FlowKeyTcp> | null;
  arp: KeyMask<FlowKeyArp> | null;
  mpls: KeyMask<FlowKeyMpls> | null;
  encControl: KeyMask<FlowKeyControl> | null;
  encKeyid: KeyMask<FlowKeyEncKeyid> | null;
  encIpv4: KeyMask<FlowKeyAddrs> | null;
  encIpv6: KeyMask<FlowKeyAddrs> | null;
  encPorts: KeyMask<FlowKeyPorts> | null;
  encIp: KeyMask<FlowKeyIp> | null;
  ct: KeyMask<FlowKeyCt> | null;
}

/** A match of nothing but control and basic (always present), all masks 0. */
export function emptyMatch(): FlowMatch {
  return {
    usedKeys: (1 << FLOW_DISSECTOR_KEY_CONTROL) | (1 << FLOW_DISSECTOR_KEY_BASIC),
    meta: null,
    control: { key: { addrType: 0, flags: 0 }, mask: { addrType: 0, flags: 0 } },
    basic: { key: { nProto: 0, ipProto: 0 }, mask: { nProto: 0, ipProto: 0 } },
    ethAddrs: null,
    vlan: null,
    cvlan: null,
    ipv4: null,
    ipv6: null,
    ip: null,
    ports: null,
    portsRange: null,
    icmp: null,
    tcp: null,
    arp: null,
    mpls: null,
    encControl: null,
    encKeyid: null,
    encIpv4: null,
    encIpv6: null,
    encPorts: null,
    encIp: null,
    ct: null,
  };
}

/** flow_rule_match_key: whether the rule compares a key. */
export function flow_rule_match_key(rule: FlowRule, key: number): boolean {
  return (rule.match.usedKeys & (1 << key)) !== 0;
}

// --- actions ----------------------------------------------------------------------------------------------------

/** enum flow_action_id. */
export const FLOW_ACTION_ACCEPT = 0;
export const FLOW_ACTION_DROP = 1;
export const FLOW_ACTION_TRAP = 2;
export const FLOW_ACTION_GOTO = 3;
export const FLOW_ACTION_REDIRECT = 4;
export const FLOW_ACTION_MIRRED = 5;
export const FLOW_ACTION_REDIRECT_INGRESS = 6;
export const FLOW_ACTION_MIRRED_INGRESS = 7;
export const FLOW_ACTION_VLAN_PUSH = 8;
export const FLOW_ACTION_VLAN_POP = 9;
export const FLOW_ACTION_VLAN_MANGLE = 10;
export const FLOW_ACTION_TUNNEL_ENCAP = 11;
export const FLOW_ACTION_TUNNEL_DECAP = 12;
export const FLOW_ACTION_MANGLE = 13;
export const FLOW_ACTION_ADD = 14;
export const FLOW_ACTION_CSUM = 15;
export const FLOW_ACTION_MARK = 16;
export const FLOW_ACTION_PRIORITY = 18;
export const FLOW_ACTION_QUEUE = 20;
export const FLOW_ACTION_SAMPLE = 21;
export const FLOW_ACTION_POLICE = 22;
export const FLOW_ACTION_CT = 23;
export const FLOW_ACTION_CT_METADATA = 24;
export const FLOW_ACTION_MPLS_PUSH = 25;
export const FLOW_ACTION_MPLS_POP = 26;
export const FLOW_ACTION_MPLS_MANGLE = 27;
export const FLOW_ACTION_PIPE = 31;
export const FLOW_ACTION_CONTINUE = 34;

/** enum flow_action_mangle_base: the header that a mangle's offset counts from. */
export const FLOW_ACT_MANGLE_HDR_TYPE_ETH = 1;
export const FLOW_ACT_MANGLE_HDR_TYPE_IP4 = 2;
export const FLOW_ACT_MANGLE_HDR_TYPE_IP6 = 3;
export const FLOW_ACT_MANGLE_HDR_TYPE_TCP = 4;
export const FLOW_ACT_MANGLE_HDR_TYPE_UDP = 5;

/** TCA_CSUM_UPDATE_FLAG_*: `csumFlags`. */
export const TCA_CSUM_UPDATE_FLAG_IPV4HDR = 1;
export const TCA_CSUM_UPDATE_FLAG_ICMP = 2;
export const TCA_CSUM_UPDATE_FLAG_TCP = 8;
export const TCA_CSUM_UPDATE_FLAG_UDP = 16;

/** enum flow_action_hw_stats: kinds of statistics that satisfy the user, and that a driver gave (`usedHwStats`). */
export const FLOW_ACTION_HW_STATS_IMMEDIATE = 1;
export const FLOW_ACTION_HW_STATS_DELAYED = 2;
export const FLOW_ACTION_HW_STATS_ANY = 3;
export const FLOW_ACTION_HW_STATS_DISABLED = 4;
export const FLOW_ACTION_HW_STATS_DONT_CARE = 7;

/** struct ip_tunnel_info of a TUNNEL_ENCAP. */
export interface FlowTunnel {
  /** VNI or key; 0 with `hasKey` false. */
  id: number;
  hasKey: boolean;
  /** 4 or 16 bytes. */
  src: Uint8Array;
  dst: Uint8Array;
  dstPort: number;
  ttl: number;
  tos: number;
  /** Outer UDP checksum; outer "don't fragment". */
  csum: boolean;
  dontFragment: boolean;
}

/** What a police action does with packets within (`notexceed`) and above (`exceed`) its rate: FLOW_ACTION_*. */
export interface FlowPolice {
  /** Identity of the policer: rules that name the same one share it. */
  index: number;
  rateBytesPerS: number;
  burstBytes: number;
  mtuBytes: number;
  exceed: number;
  notexceed: number;
}

/** TCA_CT_ACT_* bits of FlowCtAction. */
export const TCA_CT_ACT_COMMIT = 1;
export const TCA_CT_ACT_FORCE = 2;
export const TCA_CT_ACT_CLEAR = 4;
export const TCA_CT_ACT_NAT = 8;
export const TCA_CT_ACT_NAT_SRC = 16;
export const TCA_CT_ACT_NAT_DST = 32;

/** One step of a rule; `hwStats` is FLOW_ACTION_HW_STATS_*. */
export type FlowActionEntry = { hwStats: number } & (
  | { id: typeof FLOW_ACTION_ACCEPT }
  | { id: typeof FLOW_ACTION_DROP }
  | { id: typeof FLOW_ACTION_TRAP }
  | { id: typeof FLOW_ACTION_PIPE }
  | { id: typeof FLOW_ACTION_CONTINUE }
  | { id: typeof FLOW_ACTION_GOTO; chainIndex: number }
  | {
      id:
        | typeof FLOW_ACTION_REDIRECT
        | typeof FLOW_ACTION_MIRRED
        | typeof FLOW_ACTION_REDIRECT_INGRESS
        | typeof FLOW_ACTION_MIRRED_INGRESS;
      dev: NetDevice;
    }
  | {
      id: typeof FLOW_ACTION_VLAN_PUSH | typeof FLOW_ACTION_VLAN_MANGLE;
      vid: number;
      proto: number;
      prio: number;
    }
  | { id: typeof FLOW_ACTION_VLAN_POP }
  | { id: typeof FLOW_ACTION_TUNNEL_ENCAP; tunnel: FlowTunnel }
  | { id: typeof FLOW_ACTION_TUNNEL_DECAP }
  /**
   * Four bytes at `offset` of a header: bits that are 1 in `mask` are KEPT, the others replaced by (or, for ADD, increased
   * by) `val`. Mask and value are the bytes on the wire as one number, first byte most significant.
   */
  | {
      id: typeof FLOW_ACTION_MANGLE | typeof FLOW_ACTION_ADD;
      htype: number;
      offset: number;
      mask: number;
      val: number;
    }
  | { id: typeof FLOW_ACTION_CSUM; csumFlags: number }
  | { id: typeof FLOW_ACTION_MARK; mark: number }
  | { id: typeof FLOW_ACTION_PRIORITY; priority: number }
  | { id: typeof FLOW_ACTION_QUEUE; index: number }
  /** One packet of `rate` to a sampling group; `truncBytes` 0 for whole packets. */
  | { id: typeof FLOW_ACTION_SAMPLE; rate: number; group: number; truncBytes: number }
  | { id: typeof FLOW_ACTION_POLICE; police: FlowPolice }
  /** `action`: TCA_CT_ACT_* bits; `table` numbers the flowtable of the zone, 0 for none. */
  | { id: typeof FLOW_ACTION_CT; action: number; zone: number; table: number }
  | {
      id: typeof FLOW_ACTION_CT_METADATA;
      mark: number;
      labels: Uint8Array;
      origDir: boolean;
    }
  | {
      id: typeof FLOW_ACTION_MPLS_PUSH | typeof FLOW_ACTION_MPLS_MANGLE;
      /** EtherType that the packet gets (push only). */
      proto: number;
      label: number;
      tc: number;
      bos: number;
      ttl: number;
    }
  | { id: typeof FLOW_ACTION_MPLS_POP; proto: number }
);

export interface FlowRule {
  match: FlowMatch;
  /** At most 24 for a flowtable's rules, 32 for a tc filter's. */
  actions: FlowActionEntry[];
}

/** Names by number, for messages and logs ('redirect', 'vlan-push'). */
export const FLOW_ACTION_NAMES: Readonly<Record<number, string>> = {
  [FLOW_ACTION_ACCEPT]: 'accept',
  [FLOW_ACTION_DROP]: 'drop',
  [FLOW_ACTION_TRAP]: 'trap',
  [FLOW_ACTION_GOTO]: 'goto',
  [FLOW_ACTION_REDIRECT]: 'redirect',
  [FLOW_ACTION_MIRRED]: 'mirror',
  [FLOW_ACTION_REDIRECT_INGRESS]: 'redirect-ingress',
  [FLOW_ACTION_MIRRED_INGRESS]: 'mirror-ingress',
  [FLOW_ACTION_VLAN_PUSH]: 'vlan-push',
  [FLOW_ACTION_VLAN_POP]: 'vlan-pop',
  [FLOW_ACTION_VLAN_MANGLE]: 'vlan-mangle',
  [FLOW_ACTION_TUNNEL_ENCAP]: 'tunnel-encap',
  [FLOW_ACTION_TUNNEL_DECAP]: 'tunnel-decap',
  [FLOW_ACTION_MANGLE]: 'mangle',
  [FLOW_ACTION_ADD]: 'add',
  [FLOW_ACTION_CSUM]: 'csum',
  [FLOW_ACTION_MARK]: 'mark',
  [FLOW_ACTION_PRIORITY]: 'priority',
  [FLOW_ACTION_QUEUE]: 'queue',
  [FLOW_ACTION_SAMPLE]: 'sample',
  [FLOW_ACTION_POLICE]: 'police',
  [FLOW_ACTION_CT]: 'ct',
  [FLOW_ACTION_CT_METADATA]: 'ct-metadata',
  [FLOW_ACTION_MPLS_PUSH]: 'mpls-push',
  [FLOW_ACTION_MPLS_POP]: 'mpls-pop',
  [FLOW_ACTION_MPLS_MANGLE]: 'mpls-mangle',
  [FLOW_ACTION_PIPE]: 'pipe',
  [FLOW_ACTION_CONTINUE]: 'continue',
};
