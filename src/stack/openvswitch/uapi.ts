// Numbers of the Open vSwitch kernel interface (include/uapi/linux/openvswitch.h, restated in spec A.1): attributes of keys, tunnels,
// actions, flows and upcalls, the bits of ct_state, and the limits that userspace can see.
//
// Left out: NSH, and the attributes that only the userspace datapath knows.

/** Ports of a datapath; in a key "no input port". */
export const DP_MAX_PORTS = 0xffff;
/** The internal port that bears the datapath's name. */
export const OVSP_LOCAL = 0;

/** Attributes of a flow key (enum ovs_key_attr). */
export const KEY = {
  ENCAP: 1,
  PRIORITY: 2,
  IN_PORT: 3,
  ETHERNET: 4,
  VLAN: 5,
  ETHERTYPE: 6,
  IPV4: 7,
  IPV6: 8,
  TCP: 9,
  UDP: 10,
  ICMP: 11,
  ICMPV6: 12,
  ARP: 13,
  ND: 14,
  SKB_MARK: 15,
  TUNNEL: 16,
  SCTP: 17,
  TCP_FLAGS: 18,
  DP_HASH: 19,
  RECIRC_ID: 20,
  MPLS: 21,
  CT_STATE: 22,
  CT_ZONE: 23,
  CT_MARK: 24,
  CT_LABELS: 25,
  CT_ORIG_TUPLE_IPV4: 26,
  CT_ORIG_TUPLE_IPV6: 27,
  IPV6_EXTHDRS: 32,
} as const;

/** Attributes inside KEY.TUNNEL. */
export const TUN = {
  ID: 0,
  IPV4_SRC: 1,
  IPV4_DST: 2,
  TOS: 3,
  TTL: 4,
  DONT_FRAGMENT: 5,
  CSUM: 6,
  OAM: 7,
  GENEVE_OPTS: 8,
  TP_SRC: 9,
  TP_DST: 10,
  VXLAN_OPTS: 11,
  IPV6_SRC: 12,
  IPV6_DST: 13,
} as const;

/** Attributes inside TUN.VXLAN_OPTS. */
export const VXLAN_EXT_GBP = 1;

/** Actions (enum ovs_action_attr). */
export const ACT = {
  OUTPUT: 1,
  USERSPACE: 2,
  SET: 3,
  PUSH_VLAN: 4,
  POP_VLAN: 5,
  SAMPLE: 6,
  RECIRC: 7,
  HASH: 8,
  PUSH_MPLS: 9,
  POP_MPLS: 10,
  SET_MASKED: 11,
  CT: 12,
  TRUNC: 13,
  PUSH_ETH: 14,
  POP_ETH: 15,
  CT_CLEAR: 16,
  METER: 19,
  CLONE: 20,
  CHECK_PKT_LEN: 21,
  ADD_MPLS: 22,
  DEC_TTL: 23,
} as const;

export const SAMPLE = { PROBABILITY: 1, ACTIONS: 2 } as const;
export const USERSPACE = { PID: 1, USERDATA: 2, EGRESS_TUN_PORT: 3, ACTIONS: 4 } as const;
export const CHECK_PKT_LEN = { PKT_LEN: 1, IF_GREATER: 2, IF_LESS_EQUAL: 3 } as const;
/** ADD_MPLS: the label goes behind the MAC header. */
export const MPLS_L3_TUNNEL_FLAG = 1;

export const CT = {
  COMMIT: 1,
  ZONE: 2,
  MARK: 3,
  LABELS: 4,
  HELPER: 5,
  NAT: 6,
  FORCE_COMMIT: 7,
  EVENTMASK: 8,
  TIMEOUT: 9,
} as const;

export const NAT = {
  SRC: 1,
  DST: 2,
  IP_MIN: 3,
  IP_MAX: 4,
  PROTO_MIN: 5,
  PROTO_MAX: 6,
  PERSISTENT: 7,
  PROTO_HASH: 8,
  PROTO_RANDOM: 9,
} as const;

/** ct_state bits of a key (spec A.8.1). */
export const CS_NEW = 0x01;
export const CS_ESTABLISHED = 0x02;
export const CS_RELATED = 0x04;
export const CS_REPLY_DIR = 0x08;
export const CS_INVALID = 0x10;
export const CS_TRACKED = 0x20;
export const CS_SRC_NAT = 0x40;
export const CS_DST_NAT = 0x80;
export const CS_SUPPORTED = 0xff;

/** Attributes of OVS_PACKET messages: upcalls and executes. */
export const PACKET = {
  PACKET: 1,
  KEY: 2,
  ACTIONS: 3,
  USERDATA: 4,
  EGRESS_TUN_KEY: 5,
  MRU: 9,
  LEN: 10,
  HASH: 11,
} as const;

export const PACKET_CMD_MISS = 1;
export const PACKET_CMD_ACTION = 2;
