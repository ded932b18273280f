// What the device tells the simulation about packets: simulation data, out of band, invisible to drivers.
//
// A frame that enters a port carries a packet id given by the caller (−1: not tracked). The device hands that id to the
// observer when the frame is dropped, written to host memory, or leaves a port. A frame that the host transmits takes the
// id noted at its buffer (HostMemory.ownerAt), so a driver written elsewhere needs no knowledge of ids.

import type { DropReason, MissReason } from './pipeline/outcome.ts';

/** One frame that left a port. One object is reused for every call: copy what must live longer. */
export interface EgressFrame {
  portIndex: number;
  /** Id of the ingress packet it was made from, −1 when the host made it itself. */
  packetId: number;
  /** True when it came through a TX ring, false when the pipeline forwarded it. */
  fromHost: boolean;
  /** TX queue, −1 for hardware-forwarded frames. */
  queueIndex: number;
  /** Flow-table entry (handle of the owning rule) that forwarded it, −1 for host frames. */
  entryHandle: number;
  bytes: Uint8Array;
  at: number;
  lenBytes: number;
  /** First bit on the wire, ps. */
  startPs: number;
  /** Last bit (FCS) on the wire, ps. */
  endPs: number;
}

export interface DeviceObserver {
  /** A frame left a port. */
  onEgress(frame: EgressFrame): void;
  /** The device dropped a frame that had entered (or that the host had given it to send). */
  onDrop(packetId: number, portIndex: number, reason: DropReason, atPs: number): void;
  /** A received frame and its descriptor write-back are in host memory at `atPs`; `missReason` says why hardware did not keep it. */
  onRx(
    packetId: number,
    portIndex: number,
    queueIndex: number,
    slotIndex: number,
    missReason: MissReason,
    atPs: number,
  ): void;
  /**
   * The device makes a copy of a frame (mirror, sample, group: CopyKind of switch/pipeline.ts), `lenBytes` long; answers the
   * copy's own id, which every further report about it carries. Without this method copies have id −1.
   */
  onCopy?(ofPacketId: number, kind: number, portIndex: number, lenBytes: number): number;
}

/** Per-packet steps for traces. Off (null) unless a trace was asked for: the hot path tests one field. */
export interface TraceSink {
  /** `step` is a TraceStep; `a`, `b`, `c` depend on it (see TRACE_STEPS); `text` only from the stack. */
  step(
    packetId: number,
    atPs: number,
    step: number,
    a: number,
    b: number,
    c: number,
    text?: string,
  ): void;
}
