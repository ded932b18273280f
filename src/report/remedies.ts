// For `why`: what would have to differ for a packet to stay in hardware, by the reason for which it did not.
//
// One sentence a reason. Reasons that depend on the state of the flow (no entry) are refined in explain.ts from the record.

import { MissReason } from '../../hw/pipeline/outcome.ts';

/** By MissReason; '' where nothing would help or nothing was missed. */
export const MISS_REMEDIES: Readonly<Record<MissReason, string>> = {
  [MissReason.NONE]: '',
  [MissReason.NO_ENTRY]:
    'an entry for this direction of its flow must be in the flow table when the packet arrives',
  [MissReason.NOT_IP]:
    'the flow table matches IPv4 and IPv6 only: nothing would keep it in hardware',
  [MissReason.FRAGMENT]:
    'it must not be fragmented: send packets that fit the path MTU, or let the sender discover it',
  [MissReason.IP_OPTIONS]: 'the IPv4 header must have no options',
  [MissReason.EXTENSION_HEADER]: 'the IPv6 header must be followed by TCP or UDP directly',
  [MissReason.TTL]: 'it must arrive with a TTL or hop limit of at least 2',
  [MissReason.TCP_FLAGS]:
    'FIN and RST always go to software, so that connection tracking sees the end of the connection',
  [MissReason.MTU]: 'it must fit the MTU of the way out (or that MTU must be larger)',
  [MissReason.L4_PROTOCOL]: 'only TCP and UDP can be offloaded',
  [MissReason.MALFORMED]: 'its headers must be complete and consistent',
  [MissReason.VLAN]: 'it must carry no more VLAN tags than the parser takes',
  [MissReason.MULTICAST]: 'only unicast frames are forwarded by the flow table',
  [MissReason.ACTION_TO_HOST]:
    'the matching rule would have to forward instead of sending it to the host',
  [MissReason.OFFLOAD_DISABLED]:
    'the flow-table stage must be switched on: `flags offload` on a flowtable with this port',
  [MissReason.NOT_ADDRESSED]: 'its destination MAC must be the address of the port it arrives on',
  [MissReason.TRAP]:
    'the matching filter would have to forward or drop it instead of `action trap`',
  [MissReason.METER]: 'it must arrive within the rate of the meter that the filter names',
  [MissReason.COPY]: '',
};

/** For packets that found no entry, by what the stack did with them. */
export const FLOW_REMEDIES = {
  untracked:
    'connection tracking must accept it (state not INVALID) and the protocol must be TCP or UDP',
  establishing:
    'the connection was not yet established: the flow is offered to hardware by the first packet after the handshake ' +
    '(TCP) or the second one (UDP) that a `flow add` rule matches',
  starting: 'this very packet started the offload: the entry serves the packets after it',
  noRule: 'a rule `flow add @flowtable` in a forward chain must match it',
  pending:
    'the flow was already offered, but the device had not confirmed the entry yet: a faster insert, or a later packet',
  refused: 'the driver refused the flow: see the reason, make room or lift the limit',
  closing: 'the connection is closing: the flow has been taken out of hardware by its FIN or RST',
} as const;
