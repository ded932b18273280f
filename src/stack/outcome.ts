// What can become of a packet in software: one enumerated list of drop reasons, named after Linux's skb_drop_reason where
// there is one, and the interface through which the stack tells the simulation about each packet's end.

/** Why software dropped (or consumed) a packet. */
export const StackDrop = {
  NONE: 0,
  OTHERHOST: 1,
  UNHANDLED_PROTO: 2,
  IP_INHDR: 3,
  IP_CSUM: 4,
  IP_INADDRERRORS: 5,
  NO_ROUTE: 6,
  TTL: 7,
  PKT_TOO_BIG: 8,
  NETFILTER_DROP: 9,
  CONNTRACK_FULL: 10,
  NEIGH_FAILED: 11,
  NEIGH_QUEUEFULL: 12,
  FRAG_REASM_TIMEOUT: 13,
  FRAG_INVALID: 14,
  DEV_DOWN: 15,
  QDISC_DROP: 16,
  NOT_FORWARDING: 17,
  NO_SOCKET: 18,
  NOMEM: 19,
  MARTIAN: 20,
  VLAN_UNKNOWN: 21,
  TX_ERROR: 22,
  L4_CSUM: 23,
  FULL_RING: 24,
  TAP_TXFILTER: 25,
  SOCKET_FILTER: 26,
  TAP_FILTER: 27,
  TUN_NO_QUEUE: 28,
  TUN_PURGED: 29,
  TC_INGRESS: 30,
  CPU_BACKLOG: 31,
  RING_RESET: 32,
  NO_WIRE: 33,
  TC_EGRESS: 34,
  BRIDGE_SOURCE: 35,
  BRIDGE_RESERVED: 36,
  BRIDGE_VLAN: 37,
  BRIDGE_NO_PORT: 38,
  OVS_MISS: 39,
  OVS_UPCALL_LOST: 40,
  OVS_ACTIONS: 41,
  OVS_NO_PORT: 42,
  OVS_DEFERRED: 43,
  OVS_RECURSION: 44,
  OVS_METER: 45,
  OVS_CT: 46,
  OVS_KEY: 47,
  TUNNEL_TXINFO: 48,
  TUNNEL_HEADER: 49,
  TUNNEL_ECN: 50,
  TUNNEL_LOOP: 51,
  XMIT_RECURSION: 52,
} as const;
export type StackDrop = (typeof StackDrop)[keyof typeof StackDrop];

/** Machine-readable name and one sentence for each StackDrop, by number. */
export const STACK_DROPS: readonly { name: string; text: string }[] = [
  { name: 'none', text: 'not dropped' },
  { name: 'otherhost', text: 'frame is addressed to another station' },
  { name: 'unhandled-proto', text: 'no handler for this ethertype' },
  { name: 'ip-inhdr', text: 'IP header malformed or truncated' },
  { name: 'ip-csum', text: 'IPv4 header checksum wrong' },
  { name: 'ip-inaddrerrors', text: 'address not valid here (multicast not joined, bad source)' },
  { name: 'no-route', text: 'no route to the destination' },
  { name: 'ttl', text: 'TTL or hop limit exceeded' },
  { name: 'pkt-too-big', text: 'longer than the MTU and must not be fragmented' },
  { name: 'netfilter-drop', text: 'dropped by a rule' },
  { name: 'conntrack-full', text: 'connection tracking table full' },
  { name: 'neigh-failed', text: 'neighbour did not answer' },
  { name: 'neigh-queuefull', text: 'queue of the unresolved neighbour overflowed' },
  { name: 'frag-reasm-timeout', text: 'fragments did not complete in time' },
  { name: 'frag-invalid', text: 'fragments overlap or are inconsistent' },
  { name: 'dev-down', text: 'device is down' },
  { name: 'qdisc-drop', text: 'transmit queue full' },
  { name: 'not-forwarding', text: 'forwarding is switched off' },
  { name: 'no-socket', text: 'for this host, nobody listens' },
  { name: 'nomem', text: 'no packet buffer' },
  { name: 'martian', text: 'source or destination cannot be on this interface' },
  { name: 'vlan-unknown', text: 'VLAN tag without a VLAN device' },
  { name: 'tx-error', text: 'driver could not send it' },
  { name: 'l4-csum', text: 'for this host, transport checksum wrong' },
  { name: 'full-ring', text: 'ring of the tun queue full' },
  { name: 'tap-txfilter', text: 'address filter of the tap (TUNSETTXFILTER)' },
  { name: 'socket-filter', text: 'socket filter of the tun queue answered 0' },
  { name: 'tap-filter', text: 'filter program of the tun device answered 0' },
  { name: 'tun-no-queue', text: 'no queue of the tun device is attached' },
  {
    name: 'tun-purged',
    text: 'thrown away with its tun queue, or by a read that could not take it',
  },
  { name: 'tc-ingress', text: 'dropped by a tc filter' },
  { name: 'cpu-backlog', text: 'backlog of the CPU that RPS chose is full' },
  { name: 'ring-reset', text: 'in a receive ring that was replaced (ethtool -G, -L, -K) or reset' },
  { name: 'no-wire', text: 'sent through a device that has no wire (netdevsim)' },
  { name: 'tc-egress', text: 'dropped by a tc filter on the way out' },
  { name: 'bridge-source', text: 'source address on a bridge port is a group or zero' },
  { name: 'bridge-reserved', text: 'pause frame on a bridge port: not forwarded' },
  { name: 'bridge-vlan', text: 'VLAN that the bridge port does not have' },
  { name: 'bridge-no-port', text: 'no port of the bridge to send it to (its own, down, or none)' },
  { name: 'ovs-miss', text: 'no flow of the datapath: handed to userspace' },
  { name: 'ovs-upcall-lost', text: 'no flow of the datapath, and nobody listens for upcalls' },
  { name: 'ovs-actions', text: 'the actions of its datapath flow end without an output' },
  { name: 'ovs-no-port', text: 'output to a datapath port that is not there or has no carrier' },
  { name: 'ovs-deferred', text: 'more than nine deferred actions of one packet' },
  { name: 'ovs-recursion', text: 'came back into datapaths more than five levels deep' },
  { name: 'ovs-meter', text: 'dropped by a meter of the datapath' },
  { name: 'ovs-ct', text: 'refused by the ct action' },
  { name: 'ovs-key', text: 'no flow key can be extracted from it' },
  {
    name: 'tunnel-txinfo',
    text: 'sent through a flow-based tunnel without saying where to (or not in its address family)',
  },
  { name: 'tunnel-header', text: 'tunnel header cut short, unknown or wrong' },
  { name: 'tunnel-ecn', text: 'came out of a tunnel marked CE, and may not be marked itself' },
  {
    name: 'tunnel-loop',
    text: 'came out of a tunnel with its own address, or would go into itself',
  },
  {
    name: 'xmit-recursion',
    text: 'sent through more than eight virtual devices within one another',
  },
];

/** Which way software took a packet that it forwards. */
export const PATH_CLASSIC = 0;
export const PATH_FAST = 1;

/** Told of each packet's end in software (the end of a forwarded packet is its egress, told by the device). */
export interface StackObserver {
  /** The packet goes on towards the driver by this path (PATH_*). Called once per packet, before ndo_start_xmit. */
  onForward(packetId: number, path: number): void;
  /** The packet ended here: delivered to this host (ICMP, ARP, a local address). `what` is a short fixed word. */
  onLocal(packetId: number, what: string): void;
  /** The packet ended here. */
  onDrop(packetId: number, reason: StackDrop): void;
}
