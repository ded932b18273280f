// ethtool as drivers see it: parameter structures and operations, named as in Linux (include/linux/ethtool.h, spec D.6 to D.8).
//
// What a command may ask is checked in ethtool-core.ts before a driver is called. Structures hold what the model uses; a flow
// specification is a list of fields with value and mask (one bits are compared, as in the kernel).

import type { ExtAck, NetDevice } from './netdev.ts';

/** ethtool_ringparam, the part in use. */
export interface EthtoolRingParam {
  rx_max_pending: number;
  tx_max_pending: number;
  rx_pending: number;
  tx_pending: number;
  /** Rings for small and for jumbo frames; undefined: the device has none. */
  rx_mini?: EthtoolExtraRing;
  rx_jumbo?: EthtoolExtraRing;
}

export interface EthtoolExtraRing {
  max_pending: number;
  pending: number;
}

/** ETHTOOL_FEC_*: forward error correction, as bits. */
export const ETHTOOL_FEC_NONE = 1;
export const ETHTOOL_FEC_AUTO = 2;
export const ETHTOOL_FEC_OFF = 4;
export const ETHTOOL_FEC_RS = 8;
export const ETHTOOL_FEC_BASER = 16;
export const ETHTOOL_FEC_LLRS = 32;

/** ethtool_fecparam: what is configured, and which one is in use. */
export interface EthtoolFecParam {
  fec: number;
  active_fec: number;
}

/** A table of UDP ports whose tunnels the device parses (udp_tunnel_nic_info). */
export interface UdpTunnelTable {
  entries: number;
  /** vxlan, geneve, vxlan-gpe. */
  types: readonly string[];
}

/** ethtool_pauseparam: flow control by 802.3x frames. */
export interface EthtoolPauseParam {
  /** Negotiated with the link partner (there is none that negotiates: always false). */
  autoneg: boolean;
  rx_pause: boolean;
  tx_pause: boolean;
}

/** ethtool_drvinfo. */
export interface EthtoolDrvInfo {
  driver: string;
  version: string;
  fw_version: string;
  expansion_rom_version: string;
  bus_info: string;
}

/** ethtool_channels. */
export interface EthtoolChannels {
  max_rx: number;
  max_tx: number;
  max_other: number;
  max_combined: number;
  rx_count: number;
  tx_count: number;
  other_count: number;
  combined_count: number;
}

/** Coalescing parameters by the names of `ethtool -C`. */
export const COALESCE_PARAMS = [
  ...(['adaptive-rx', 'adaptive-tx', 'stats-block-usecs', 'sample-interval'] as const),
  ...(['pkt-rate-low', 'pkt-rate-high', 'rx-usecs', 'rx-frames', 'rx-usecs-irq'] as const),
  ...(['rx-frames-irq', 'tx-usecs', 'tx-frames', 'tx-usecs-irq', 'tx-frames-irq'] as const),
  ...(['rx-usecs-low', 'rx-frames-low', 'tx-usecs-low', 'tx-frames-low'] as const),
  ...(['rx-usecs-high', 'rx-frames-high', 'tx-usecs-high', 'tx-frames-high'] as const),
  ...(['cqe-mode-rx', 'cqe-mode-tx'] as const),
] as const;
export type CoalesceParam = (typeof COALESCE_PARAMS)[number];
/** Values of the supported parameters; switches are 0 and 1. */
export type EthtoolCoalesce = Partial<Record<CoalesceParam, number>>;

// Flow types.
export const TCP_V4_FLOW = 0x01;
export const UDP_V4_FLOW = 0x02;
export const SCTP_V4_FLOW = 0x03;
export const AH_ESP_V4_FLOW = 0x04;
export const TCP_V6_FLOW = 0x05;
export const UDP_V6_FLOW = 0x06;
export const SCTP_V6_FLOW = 0x07;
export const AH_ESP_V6_FLOW = 0x08;
export const AH_V4_FLOW = 0x09;
export const ESP_V4_FLOW = 0x0a;
export const AH_V6_FLOW = 0x0b;
export const ESP_V6_FLOW = 0x0c;
export const IPV4_USER_FLOW = 0x0d;
export const IPV6_USER_FLOW = 0x0e;
export const ETHER_FLOW = 0x12;
/** Or-ed to a flow type: of an RSS context. */
export const FLOW_RSS = 0x20000000;

/** Fields of a flow specification; the last four are in its extension. */
export type FlowField =
  | 'src_ip'
  | 'dst_ip'
  | 'tos'
  | 'l4_proto'
  | 'l4_data'
  | 'src_port'
  | 'dst_port'
  | 'spi'
  | 'eth_src'
  | 'eth_dst'
  | 'eth_proto'
  | 'vlan_etype'
  | 'vlan_tci'
  | 'user_def'
  | 'dst_mac';

/** A field: words of 32 bits, most significant first (an IPv4 address is one, a MAC and user data are two). */
export interface MaskedField {
  value: readonly number[];
  mask: readonly number[];
}

/** Ring cookie: drop, or a ring of this function (vf 0) or of virtual function vf − 1. */
export interface RingCookie {
  drop: boolean;
  ring: number;
  vf: number;
}

/** Special locations: the driver chooses. */
export const RX_CLS_LOC_ANY = 0xffffffff;

/** ethtool_rx_flow_spec with the context of FLOW_RSS. */
export interface EthtoolRxFlowSpec {
  flow_type: number;
  fields: Partial<Record<FlowField, MaskedField>>;
  cookie: RingCookie;
  location: number;
  /** FLOW_RSS: this context spreads what matches; −1 for none. */
  rss_context: number;
}

/** Fields that a flow hash uses (RXH_*), as the letters of `rx-flow-hash`. */
export const RXH_L2DA = 1 << 1;
export const RXH_VLAN = 1 << 2;
export const RXH_L3_PROTO = 1 << 3;
export const RXH_IP_SRC = 1 << 4;
export const RXH_IP_DST = 1 << 5;
export const RXH_L4_B_0_1 = 1 << 6;
export const RXH_L4_B_2_3 = 1 << 7;
export const RXH_DISCARD = 2 ** 31;

/** get_rxnfc and set_rxnfc by what they are asked. Answers below 0 are negative errnos. */
export interface RxNfcOps {
  /** ETHTOOL_GRXRINGS. */
  rings(dev: NetDevice): number;
  /** ETHTOOL_GRXCLSRLALL: locations in use, ascending. */
  locations(dev: NetDevice): number[];
  /** Locations that exist. */
  tableSize(dev: NetDevice): number;
  /** RX_CLS_LOC_SPECIAL: the driver can choose locations itself. */
  readonly choosesLocation: boolean;
  rule(dev: NetDevice, location: number): EthtoolRxFlowSpec | null;
  /** ETHTOOL_SRXCLSRLINS: the location or −errno. */
  insert(dev: NetDevice, spec: EthtoolRxFlowSpec, extack: ExtAck): number;
  remove(dev: NetDevice, location: number): number;
  /** ETHTOOL_GRXFH: RXH_* bits. */
  flowHash(dev: NetDevice, flowType: number): number;
  setFlowHash(dev: NetDevice, flowType: number, fields: number): number;
}

/** ETH_RSS_HASH_*. */
export const ETH_RSS_HASH_TOP = 1;
export const ETH_RSS_HASH_XOR = 2;
export const ETH_RSS_HASH_CRC32 = 4;
/** Names of the hash functions, by bit. */
export const RSS_HASH_FUNCS: readonly string[] = ['toeplitz', 'xor', 'crc32'];

/** One RSS context as ethtool sees it. */
export interface EthtoolRxFh {
  indir: Uint8Array;
  key: Uint8Array;
  hfunc: number;
  /** RXH_XFRM_SYM_XOR. */
  symmetricXor: boolean;
}

/** A change of a context: what is undefined stays. */
export interface RxFhChange {
  indir?: Uint8Array | 'reset';
  key?: Uint8Array;
  hfunc?: number;
  symmetricXor?: boolean;
}

export interface RxFhOps {
  indirSize(dev: NetDevice): number;
  keySize(dev: NetDevice): number;
  /** Context 0 is the device's own; null: no such context. */
  get(dev: NetDevice, context: number): EthtoolRxFh | null;
  set(dev: NetDevice, context: number, change: RxFhChange, extack: ExtAck): number;
  /** Makes a context: its id or −errno. Undefined: the driver has no contexts. */
  create?(dev: NetDevice, change: RxFhChange, extack: ExtAck): number;
  remove?(dev: NetDevice, context: number): number;
}

export interface EthtoolOps {
  get_drvinfo?(dev: NetDevice): EthtoolDrvInfo;
  get_strings?(dev: NetDevice): string[];
  get_ethtool_stats?(dev: NetDevice): number[];
  /** Line rate, Mb/s; −1 while the link is down (ETHTOOL_GLINKSETTINGS). */
  get_link_speed?(dev: NetDevice): number;
  /** Kind of the port; left out: other than those that the link settings name. */
  link_port?: 'tp';
  get_msglevel?(dev: NetDevice): number;
  /** The address that the device was made with (perm_addr). */
  get_perm_addr?(dev: NetDevice): Uint8Array;
  get_pauseparam?(dev: NetDevice): EthtoolPauseParam;
  set_pauseparam?(dev: NetDevice, param: EthtoolPauseParam, extack: ExtAck): number;
  /** The setting or −errno. */
  get_fecparam?(dev: NetDevice): EthtoolFecParam | number;
  set_fecparam?(dev: NetDevice, param: EthtoolFecParam): number;
  /** Tables of tunnel ports; the stack has no tunnels that would fill them. */
  udp_tunnel_tables?: readonly UdpTunnelTable[];
  get_ringparam?(dev: NetDevice): EthtoolRingParam;
  set_ringparam?(dev: NetDevice, param: EthtoolRingParam, extack: ExtAck): number;
  get_channels?(dev: NetDevice): EthtoolChannels;
  set_channels?(dev: NetDevice, channels: EthtoolChannels, extack: ExtAck): number;
  /** Parameters that set_coalesce takes. */
  supported_coalesce_params?: readonly CoalesceParam[];
  get_coalesce?(dev: NetDevice): EthtoolCoalesce;
  set_coalesce?(dev: NetDevice, coalesce: EthtoolCoalesce, extack: ExtAck): number;
  rxnfc?: RxNfcOps;
  rxfh?: RxFhOps;
  get_regs?(dev: NetDevice): EthtoolRegs;
}

/** Register dump (`ethtool -d`): values by offset, read without side effects, and what the simulated device counted. */
export interface EthtoolRegs {
  read32(offset: number): number;
  unmodelled: readonly { offset: number; name: string | null; count: number }[];
  faults: readonly QueueFaultCount[];
}

/** Misuses of one queue by its driver. */
export interface QueueFaultCount {
  /** 'rx 0', 'tx 3'. */
  queue: string;
  name: string;
  text: string;
  count: number;
}
