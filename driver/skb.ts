// The packet handle of the host side: what Linux calls sk_buff, reduced to what the model needs.
//
// A handle is an offset and a length in host memory plus metadata; payload is never copied to build one. Handles and
// buffers come from a pool (alloc.ts) and go back with `free`; the pool counts both, tests check that none is lost.
// Every buffer lies in DMA-able memory, so a driver can transmit it in place: iova = iovaOf(skb.at).

import type { NetDevice } from './netdev.ts';

/** Receive checksum verdicts (CHECKSUM_* of Linux). */
export const CHECKSUM_NONE = 0;
/** Hardware verified the transport checksum. */
export const CHECKSUM_UNNECESSARY = 1;

/** Room left in front of a received frame for headers that are pushed later, bytes (NET_SKB_PAD). */
export const SKB_HEADROOM_BYTES = 64;

/** One packet. All fields have their final kind from construction on (one hidden class). */
export class SkBuff {
  /** Memory that holds the packet (a region's bytes). */
  bytes: Uint8Array;
  /** Offset of the first byte of the packet in `bytes`: the MAC header at receive, the network header inside IP. */
  at = 0;
  /** Bytes from `at` on. */
  lenBytes = 0;
  /** Start of the whole buffer in `bytes` (headroom begins here). */
  headAt = 0;
  /** Size of the whole buffer, bytes. */
  truesizeBytes = 0;
  /** Offset of the network header in `bytes`. */
  networkAt = 0;
  /** Offset of the transport header in `bytes`, 0 when not set. */
  transportAt = 0;
  /** Offset of the MAC header in `bytes`, −1 when there is none (built by the stack). */
  macAt = -1;
  /** Device it arrived on, or is to leave through. */
  dev: NetDevice | null = null;
  /** ifindex of the device it arrived on; 0 for packets made by this host (skb_iif). */
  iif = 0;
  /** EtherType of the payload after at most one stripped VLAN tag. */
  protocol = 0;
  /** VLAN tag that the device stripped (TCI with TPID 0x8100), −1 for none. */
  vlanTci = -1;
  ipSummed = CHECKSUM_NONE;
  /** Receive hash, 0 when not computed. */
  hash = 0;
  /** Queue it arrived on, plus one; 0 when not recorded (skb_record_rx_queue). */
  rxQueue = 0;
  /** Queue chosen for transmission. */
  queueMapping = 0;
  /** nfmark. */
  mark = 0;
  priority = 0;
  /** pkt_type: 0 to us, 1 broadcast, 2 multicast, 3 to another host (PACKET_OTHERHOST). */
  pktType = 0;
  /** Conntrack entry attached by netfilter (an opaque object to the driver layer). */
  nfct: object | null = null;
  /** enum ip_conntrack_info. */
  ctinfo = 0;
  /** Route attached by the IP layer (an opaque object to the driver layer). */
  dst: object | null = null;
  /** Tunnel metadata (metadata_dst): where it came out of, or is to go into (an opaque object to the driver layer). */
  tunnelInfo: object | null = null;
  /** Largest received fragment when this was reassembled, else 0 (IPCB frag_max_size). */
  fragMaxBytes = 0;
  /** Payload bytes of each received fragment in order when this was reassembled, else null (Linux: the frag list). */
  fragSizes: number[] | null = null;
  /** Time of arrival at the host (napi poll), ps. */
  tstampPs = 0;
  /** Id of the ingress packet it came from, −1 when the host made it: simulation data, drivers need not set it. */
  packetId = -1;
  /** Ids of further ingress packets merged into this one (reassembly): simulation data. */
  mergedIds: number[] | null = null;
  /** The handle's place in its pool; −1 while free. */
  poolIndex = -1;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}
