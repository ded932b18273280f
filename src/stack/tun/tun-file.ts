// One open /dev/net/tun: a queue of a device once TUNSETIFF has attached it. What the kernel keeps in struct tun_file and its socket.

import type { BpfProgram } from './bpf/program.ts';
import { TunRing } from './ring.ts';
import type { TunDevice } from './tun-device.ts';

/** Who opened it. */
export interface Credentials {
  uid: number;
  gid: number;
  /** CAP_NET_ADMIN. */
  netAdmin: boolean;
}

export const ROOT: Credentials = { uid: 0, gid: 0, netAdmin: true };

/** A reader that waits for a packet: `done` gets what read(2) returns. */
export interface PendingRead {
  buffer: Uint8Array;
  done: (result: number) => void;
}

const SNDBUF_DEFAULT = 0x7fff_ffff;

export class TunFile {
  readonly kind = 'tun';
  readonly credentials: Credentials;
  /** Device, null before TUNSETIFF and after the device has gone; kept while the queue is disabled. */
  tun: TunDevice | null = null;
  /** Disabled by IFF_DETACH_QUEUE. */
  detached = false;
  /** Slot in the device's list; meaningful while attached and not disabled. */
  queueIndex = 0;
  ring = new TunRing(0);
  sndbufBytes = SNDBUF_DEFAULT;
  /** ifindex that TUNSETIFINDEX asked for, 0 for any. */
  ifindex = 0;
  /** Classic socket filter (TUNATTACHFILTER), compiled; null for none. */
  socketFilter: BpfProgram | null = null;
  /** Called when a packet comes into an empty ring (SIGIO, poll's wake-up). */
  onReadable: (() => void) | null = null;
  readonly waiting: PendingRead[] = [];

  constructor(credentials: Credentials) {
    this.credentials = credentials;
  }
}
