// What the software path costs the simulated core, in ps at 3.6 GHz. Control of the sum: Linux forwards one IPv4 packet in
// 575 ns (hardware.md 5.1: E5-1650v4, kernel 4.18, one route), of which driver, rings and packet buffers take about half
// (driver/costs.ts). The split below the sum is not published; each share is assumed unless a source stands beside it.
// No constant here was fitted to the 575 ns or to a figure that the model is checked against.

import { PS_PER_NS } from '../../hw/time/units.ts';

/** netif_receive_skb to the protocol handler: two indirect calls at 8.5 ns (5.2) and list walks; assumed 20 ns. */
export const RECEIVE_CORE_PS = 20 * PS_PER_NS;
/** ip_rcv: header checks, one cache line of packet data from L3 (17.45 ns, 5.2) plus the checksum; assumed 30 ns. */
export const IP_RECEIVE_PS = 30 * PS_PER_NS;
/** Running one netfilter point that has hooks: nf_hook_slow, indirect call 8.5 ns (5.2). */
export const HOOK_POINT_PS = 8.5 * PS_PER_NS;
/** Input route look-up in a small table: a trie walk of three L2 hits and one L3 hit (5.2: 5.36, 17.45 ns). */
export const ROUTE_LOOKUP_PS = (3 * 5.36 + 17.45) * PS_PER_NS;
/** ip_forward and ip_output with their checks and the TTL; assumed 40 ns. */
export const IP_FORWARD_PS = 40 * PS_PER_NS;
/** Neighbour look-up and header copy: two L2 hits (5.2) and 10 ns of work, assumed. */
export const NEIGH_OUTPUT_PS = (2 * 5.36 + 10) * PS_PER_NS;
/** A VLAN device on the way in or out: one hop through the receive core; assumed 20 ns. */
export const VLAN_PS = 20 * PS_PER_NS;
/** Building a packet of this host's own: slab alloc and free 30.5 ns (5.2) plus filling it, assumed 100 ns in all. */
export const LOCAL_PACKET_PS = 100 * PS_PER_NS;
/** One fragment cut or queued: allocation (30.5 ns, 5.2) and list work; assumed 80 ns. */
export const FRAGMENT_PS = 80 * PS_PER_NS;
