// What lies at the head of a transmit ring: a context descriptor, or data descriptors up to EOP, advanced or legacy, checked for
// everything that needs no context (82599 7.2.1, 7.2.3.2). A chain without EOP is not there yet.

import * as D from './descriptor.ts';
import type { HostMemory } from './host-memory.ts';
import { QueueFault } from './queue-fault.ts';

/** Longest descriptor chain of one frame: this less WTHRESH (82599 7.2.1.1: 40 less WTHRESH less 2). */
export const MAX_CHAIN = 38;
/** Shortest frame that the device takes, padding comes after (82599 7.2.1). */
const MIN_FRAME_BYTES = 17;

/** Kinds of chains. EMPTY: a null descriptor. MESSAGE: to be segmented. */
export const Found = { NOTHING: 0, CONTEXT: 1, EMPTY: 2, FRAME: 3, MESSAGE: 4 } as const;

export class TxChain {
  /** Set by the ring. */
  baseIova = 0;
  slots = 0;
  maxChain = MAX_CHAIN;

  // Results of `scan`.
  found: number = Found.NOTHING;
  /** Descriptors, and bytes of their buffers. */
  count = 0;
  frameBytes = 0;
  /** Address of the first buffer, 0 when there is none. */
  firstIova = 0;
  /** Words 2 and 3 of the descriptor that speaks for the frame: the first, of legacy ones the last. */
  cmd = 0;
  olinfo = 0;

  private readonly memory: HostMemory;
  private readonly maxFrameBytes: number;

  constructor(memory: HostMemory, maxFrameBytes: number) {
    this.memory = memory;
    this.maxFrameBytes = maxFrameBytes;
  }

  /** Whether the frame has legacy descriptors. */
  get isLegacy(): boolean {
    return (this.cmd & D.TXD_DCMD_DEXT) === 0;
  }

  /** Finds the descriptor in `slot`: memory.region, memory.offset; false when it is outside memory. */
  resolve(slot: number): boolean {
    return this.memory.resolve(this.baseIova + slot * D.DESCRIPTOR_BYTES, D.DESCRIPTOR_BYTES);
  }

  /** Looks at the chain that begins at `head`, of at most `available` descriptors. */
  scan(head: number, available: number): QueueFault {
    const { memory } = this;
    this.found = Found.NOTHING;
    this.frameBytes = 0;
    this.firstIova = 0;
    let dext = D.TXD_DCMD_DEXT;
    for (let n = 0; n < available; n++) {
      if (n === this.maxChain) return QueueFault.CHAIN_TOO_LONG;
      if (!this.resolve(head + n < this.slots ? head + n : head + n - this.slots))
        return QueueFault.DESCRIPTOR_ADDRESS;
      const view = memory.region.view;
      const at = memory.offset;
      const cmd = view.getInt32(at + 8, true);
      const kind = cmd & D.TXD_DTYP_MASK;
      if (n === 0) {
        dext = cmd & D.TXD_DCMD_DEXT;
        if (dext !== 0 && kind === D.TXD_DTYP_CTXT) return this.take(Found.CONTEXT, 1);
        this.firstIova = D.readAddress(view, at);
      } else if ((cmd & D.TXD_DCMD_DEXT) !== dext) return QueueFault.DESCRIPTOR_TYPE;
      if (dext !== 0 && kind !== D.TXD_DTYP_DATA) return QueueFault.DESCRIPTOR_TYPE;
      const isEnd = (cmd & D.TXD_DCMD_EOP) !== 0;
      if (n === 0 || (isEnd && dext === 0)) {
        this.cmd = cmd;
        this.olinfo = view.getInt32(at + 12, true);
      }
      const lenBytes = cmd & 0xffff;
      if (lenBytes === 0) {
        // Null descriptors may stand between frames only, with EOP.
        return n === 0 && isEnd ? this.take(Found.EMPTY, 1) : QueueFault.ZERO_LENGTH;
      }
      this.frameBytes += lenBytes;
      if (isEnd) return this.takeFrame(n + 1);
    }
    return QueueFault.NONE;
  }

  private take(found: number, count: number): QueueFault {
    this.found = found;
    this.count = count;
    return QueueFault.NONE;
  }

  private takeFrame(count: number): QueueFault {
    if ((this.cmd & D.TXD_DCMD_TSE) !== 0 && !this.isLegacy) return this.take(Found.MESSAGE, count);
    if (this.frameBytes < MIN_FRAME_BYTES) return QueueFault.FRAME_TOO_SHORT;
    if (this.frameBytes > this.maxFrameBytes) return QueueFault.FRAME_TOO_LONG;
    return this.take(Found.FRAME, count);
  }
}
