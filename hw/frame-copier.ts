// Copies that the staged tables make of a frame: to a port (mirror, group) or to the host (sample), each with an id and a fate
// of its own. A cut copy, or one for the host, is made in a slot of packet memory that only copies use; a whole one for a
// port is sent from where the frame lies.

import * as K from './parse/key-layout.ts';
import { TO_HOST_PORT } from './switch/actions.ts';
import type { CopySink, SwitchPipeline } from './switch/pipeline.ts';
import { TraceStep } from './trace.ts';
import type { DeviceContext } from './context.ts';
import type { Pipeline } from './pipeline/pipeline.ts';

/** What a copier needs of the device. */
export interface CopyOwner {
  readonly ctx: DeviceContext;
  readonly pipeline: Pipeline;
  readonly packetId: number;
  copyOut(copyId: number, outPort: number, at: number, lenBytes: number, atPs: number): void;
  copyToHost(copyId: number, at: number, lenBytes: number, atPs: number, group: number): void;
}

export class FrameCopier implements CopySink {
  private readonly device: CopyOwner;
  private readonly stages: SwitchPipeline;
  private readonly keptKey = new Uint32Array(K.KEY_WORDS);
  private keptAt = 0;
  private keptBytes = 0;

  constructor(device: CopyOwner, stages: SwitchPipeline) {
    this.device = device;
    this.stages = stages;
  }

  copy(kind: number, port: number, lenBytes: number, group: number): void {
    const { device, stages } = this;
    const { ctx, packetId } = device;
    const { inPort, timePs } = stages;
    ctx.stats[inPort].copies++;
    const id = ctx.observer.onCopy?.(packetId, kind, inPort, lenBytes) ?? -1;
    const isToHost = port === TO_HOST_PORT;
    ctx.trace?.step(packetId, timePs, TraceStep.COPY, isToHost ? -1 : port, lenBytes, kind);
    const { executor } = device.pipeline;
    let { at } = executor;
    if (isToHost || lenBytes < executor.lenBytes) {
      const { packets } = ctx;
      at = packets.copySlot();
      packets.bytes.copyWithin(at, executor.at, executor.at + lenBytes);
    }
    if (isToHost) device.copyToHost(id, at, lenBytes, timePs, group);
    else device.copyOut(id, port, at, lenBytes, timePs);
  }

  saveFrame(): void {
    const { ctx, pipeline } = this.device;
    const { at, lenBytes } = pipeline.executor;
    this.keptAt = at;
    this.keptBytes = lenBytes;
    this.keptKey.set(pipeline.key);
    ctx.packets.bytes.copyWithin(ctx.packets.keepSlot(), at, at + lenBytes);
  }

  restoreFrame(): void {
    const { ctx, pipeline } = this.device;
    const { executor, key } = pipeline;
    const keptAt = ctx.packets.keepSlot();
    ctx.packets.bytes.copyWithin(this.keptAt, keptAt, keptAt + this.keptBytes);
    executor.at = this.keptAt;
    executor.lenBytes = this.keptBytes;
    key.set(this.keptKey);
  }
}
