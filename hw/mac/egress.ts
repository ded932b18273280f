// The way out, for frames of the pipeline and of TX rings alike: link state, padding, transmit buffer, line, counters,
// observer. The frame lies in packet memory, with room behind it for padding.

import type { DeviceContext } from '../context.ts';
import type { EgressFrame } from '../observer.ts';
import { DropReason } from '../pipeline/outcome.ts';
import { C } from '../stats.ts';
import { TraceStep } from '../trace.ts';
import type { Loopback } from './loopback.ts';
import { FCS_BYTES, MIN_FRAME_BYTES } from './port.ts';

export class Egress {
  /** In-parameter of `send`: the frame is ready, ps (a field, since arguments are boxed). */
  readyPs = 0;
  private readonly ctx: DeviceContext;
  private readonly loopback: Loopback;
  private readonly frame: EgressFrame;

  constructor(ctx: DeviceContext, loopback: Loopback) {
    this.ctx = ctx;
    this.loopback = loopback;
    this.frame = {
      portIndex: 0,
      packetId: -1,
      fromHost: false,
      queueIndex: -1,
      entryHandle: -1,
      bytes: ctx.packets.bytes,
      at: 0,
      lenBytes: 0,
      startPs: 0,
      endPs: 0,
    };
  }

  /** Sends a frame that is ready at `this.readyPs`; NONE, or the reason why it could not go (the caller counts the drop). */
  send(
    portIndex: number,
    packetId: number,
    queueIndex: number,
    entryHandle: number,
    at: number,
    lenBytes: number,
  ): DropReason {
    const port = this.ctx.ports[portIndex];
    if (!port.isLinkUp) return DropReason.LINK_DOWN;
    const bytes = this.ctx.packets.bytes;
    if (port.pause !== null && port.pause.mask !== 0 && queueIndex < 0) {
      const held = port.pause.hold(
        packetId,
        entryHandle,
        this.ctx.packets.view,
        bytes,
        at,
        lenBytes,
      );
      if (held !== 0) return held > 0 ? DropReason.NONE : DropReason.TX_BUFFER_FULL;
    }
    let outBytes = lenBytes;
    if (port.padsShort && lenBytes < MIN_FRAME_BYTES) {
      for (let i = at + lenBytes; i < at + MIN_FRAME_BYTES; i++) bytes[i] = 0;
      outBytes = MIN_FRAME_BYTES;
    }
    port.readyPs = this.readyPs;
    if (!port.transmit(outBytes)) return DropReason.TX_BUFFER_FULL;
    const stats = this.ctx.stats[portIndex];
    stats.add(C.TX_FRAMES, 1);
    stats.add(C.TX_TOTAL, 1);
    stats.add(C.TX_OCTETS, outBytes + FCS_BYTES);
    stats.countSize(C.TX_SIZE, outBytes);
    if ((bytes[at] & 1) !== 0) {
      const isBroadcast = bytes[at] === 255 && bytes[at + 1] === 255;
      stats.add(isBroadcast ? C.TX_BROADCAST : C.TX_MULTICAST, 1);
    }
    const trace = this.ctx.trace;
    if (trace !== null) {
      trace.step(
        packetId,
        port.startPs,
        TraceStep.EGRESS_START,
        portIndex,
        queueIndex,
        entryHandle,
      );
      trace.step(packetId, port.endPs, TraceStep.EGRESS_END, portIndex, outBytes, 0);
    }
    if (port.isLoopback) {
      this.loopback.take(portIndex, packetId, bytes, at, outBytes, port.endPs);
      return DropReason.NONE;
    }
    const frame = this.frame;
    frame.portIndex = portIndex;
    frame.packetId = packetId;
    frame.fromHost = queueIndex >= 0;
    frame.queueIndex = queueIndex;
    frame.entryHandle = entryHandle;
    frame.at = at;
    frame.lenBytes = outBytes;
    frame.startPs = port.startPs;
    frame.endPs = port.endPs;
    this.ctx.observer.onEgress(frame);
    return DropReason.NONE;
  }

  /** A frame of the pipeline that waited for the end of a pause: the caller counted it when it was taken. */
  sendHeld(portIndex: number, packetId: number, entryHandle: number, frame: Uint8Array): void {
    const { packets, observer, scheduler } = this.ctx;
    const at = packets.allocate();
    packets.copyIn(at, frame, 0, frame.length);
    this.readyPs = scheduler.nowPs;
    const port = this.ctx.ports[portIndex];
    const { pause } = port;
    port.pause = null; // it has waited
    const reason = this.send(portIndex, packetId, -1, entryHandle, at, frame.length);
    port.pause = pause;
    if (reason !== DropReason.NONE) observer.onDrop(packetId, portIndex, reason, scheduler.nowPs);
  }

  /** Sends a MAC control frame of the device's own, ahead of what waits for the line. */
  sendControl(portIndex: number, control: Uint8Array): void {
    const { packets, scheduler, stats, observer } = this.ctx;
    const port = this.ctx.ports[portIndex];
    if (!port.isLinkUp) return;
    const at = packets.allocate();
    packets.copyIn(at, control, 0, control.length);
    port.readyPs = scheduler.nowPs;
    port.transmitControl(control.length);
    // As the 82599, which counts them among the frames sent (drivers subtract XON and XOFF again).
    const counts = stats[portIndex];
    counts.add(C.TX_FRAMES, 1);
    counts.add(C.TX_TOTAL, 1);
    counts.add(C.TX_MULTICAST, 1);
    counts.add(C.TX_OCTETS, control.length + FCS_BYTES);
    counts.countSize(C.TX_SIZE, control.length);
    const frame = this.frame;
    frame.portIndex = portIndex;
    frame.packetId = -1;
    frame.fromHost = false;
    frame.queueIndex = -1;
    frame.entryHandle = -1;
    frame.at = at;
    frame.lenBytes = control.length;
    frame.startPs = port.startPs;
    frame.endPs = port.endPs;
    observer.onEgress(frame);
  }
}
