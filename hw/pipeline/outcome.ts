// Why hardware did not keep a packet, and why it dropped one: two enumerated lists, each with names and a sentence.
// Every packet that enters the device ends in exactly one of: egress, drop (one DropReason), delivery to host memory.

/** Why the pipeline sent a packet to the host instead of forwarding it. */
export const MissReason = {
  NONE: 0,
  NO_ENTRY: 1,
  NOT_IP: 2,
  FRAGMENT: 3,
  IP_OPTIONS: 4,
  EXTENSION_HEADER: 5,
  TTL: 6,
  TCP_FLAGS: 7,
  MTU: 8,
  L4_PROTOCOL: 9,
  MALFORMED: 10,
  VLAN: 11,
  MULTICAST: 12,
  ACTION_TO_HOST: 13,
  OFFLOAD_DISABLED: 14,
  NOT_ADDRESSED: 15,
  TRAP: 16,
  METER: 17,
  COPY: 18,
} as const;
export type MissReason = (typeof MissReason)[keyof typeof MissReason];

/** Machine-readable name and one sentence for each MissReason, by number. */
export const MISS_REASONS: readonly { name: string; text: string }[] = [
  { name: 'none', text: 'not a miss' },
  { name: 'no-entry', text: 'no flow-table entry matches the key' },
  { name: 'not-ip', text: 'ethertype is neither IPv4 nor IPv6' },
  { name: 'fragment', text: 'an IP fragment has no ports to match' },
  { name: 'ip-options', text: 'IPv4 header has options' },
  { name: 'extension-header', text: 'IPv6 extension header before the transport header' },
  { name: 'ttl', text: 'TTL or hop limit would reach zero' },
  { name: 'tcp-flags', text: 'TCP FIN or RST: connection state changes belong to software' },
  { name: 'mtu', text: 'longer than the egress MTU of the entry' },
  { name: 'l4-protocol', text: 'transport protocol that the table cannot match' },
  { name: 'malformed', text: 'header truncated or inconsistent' },
  { name: 'vlan', text: 'more VLAN tags than the parser takes' },
  { name: 'multicast', text: 'destination MAC is multicast or broadcast' },
  { name: 'action-to-host', text: 'the matching entry says: to the host' },
  { name: 'offload-disabled', text: 'flow-table stage is switched off on this port' },
  { name: 'not-addressed', text: 'destination MAC is not the address of this port' },
  { name: 'trap', text: 'an entry of the staged tables says: to the CPU' },
  { name: 'meter', text: 'a meter of the staged tables coloured it, and says: to the CPU' },
  { name: 'copy', text: 'a copy that an entry of the staged tables made for the host' },
];

/** Why the device dropped a packet. Names follow the 82599 counter that counts it where there is one. */
export const DropReason = {
  NONE: 0,
  LINK_DOWN: 1,
  RX_BUFFER_FULL: 2,
  NO_DESCRIPTOR: 3,
  MAC_FILTER: 4,
  OVERSIZE: 5,
  UNDERSIZE: 6,
  RULE: 7,
  TX_BUFFER_FULL: 8,
  DMA_FAULT: 9,
  RX_DISABLED: 10,
  QUEUE_DISABLED: 11,
  TX_MALFORMED: 12,
  METER: 13,
  GROUP_EMPTY: 14,
  MAC_CONTROL: 15,
} as const;
export type DropReason = (typeof DropReason)[keyof typeof DropReason];

/** Machine-readable name and one sentence for each DropReason, by number. */
export const DROP_REASONS: readonly { name: string; text: string }[] = [
  { name: 'none', text: 'not dropped' },
  { name: 'link-down', text: 'link was down' },
  { name: 'rx-buffer-full', text: 'receive packet buffer full (MPC)' },
  { name: 'no-descriptor', text: 'no free receive descriptor in the queue (QPRDC)' },
  { name: 'mac-filter', text: 'destination MAC not accepted and not promiscuous' },
  { name: 'oversize', text: 'longer than MAXFRS (ROC)' },
  { name: 'undersize', text: 'shorter than an Ethernet header (RUC)' },
  { name: 'rule', text: 'a table entry says: drop' },
  { name: 'tx-buffer-full', text: 'egress buffer full' },
  { name: 'dma-fault', text: 'descriptor or buffer outside host memory' },
  { name: 'rx-disabled', text: 'RXCTRL.RXEN is clear' },
  { name: 'queue-disabled', text: 'RXDCTL.ENABLE is clear in the chosen queue' },
  { name: 'tx-malformed', text: 'transmit descriptor chain is not a valid frame' },
  { name: 'meter', text: 'above the rate of a meter of the staged tables' },
  { name: 'group-empty', text: 'no bucket of the group takes it' },
  { name: 'mac-control', text: 'a pause frame: acted upon in the MAC, it goes no further' },
];
