// Hardware statistics: registers that clear on read, accumulated in the driver as ixgbe's service task does.

import type { Mmio } from '../mmio.ts';
import {
  CRCERRS,
  GORCH,
  GORCL,
  GOTCH,
  GOTCL,
  GPRC,
  GPTC,
  MPC,
  MPRC,
  QPRDC,
  ROC,
  RUC,
} from '../../hw/regs.ts';

/** Statistics counters per direction that the device has for queues. */
export const QUEUE_COUNTERS = 16;

export class HardwareStats {
  /** Frames lost because the packet buffer was full (MPC). */
  rxMissed = 0;
  /** Frames lost because a queue had no descriptor (QPRDC), in all and per queue counter. */
  rxNoDescriptor = 0;
  readonly rxNoDescriptorOfQueue = new Float64Array(QUEUE_COUNTERS);
  rxTooLong = 0;
  rxTooShort = 0;
  rxCrcErrors = 0;
  multicast = 0;
  /** Good frames at the MAC, whether host or hardware made or took them. */
  macRxPackets = 0;
  macRxBytes = 0;
  macTxPackets = 0;
  macTxBytes = 0;

  private readonly bar0: Mmio;

  constructor(bar0: Mmio) {
    this.bar0 = bar0;
  }

  /** Reads and adds all counters (about 35 register reads, charged). */
  update(queueCount: number): void {
    const { bar0 } = this;
    for (let i = 0; i < 8; i++) this.rxMissed += bar0.read32(MPC(i));
    for (let i = 0; i < Math.min(queueCount, QUEUE_COUNTERS); i++) {
      const drops = bar0.read32(QPRDC(i));
      this.rxNoDescriptor += drops;
      this.rxNoDescriptorOfQueue[i] += drops;
    }
    this.rxTooLong += bar0.read32(ROC);
    this.rxTooShort += bar0.read32(RUC);
    this.rxCrcErrors += bar0.read32(CRCERRS);
    this.multicast += bar0.read32(MPRC);
    this.macRxPackets += bar0.read32(GPRC);
    this.macTxPackets += bar0.read32(GPTC);
    // Low before high: reading the high half clears both (datasheet 8.2.3.23).
    this.macRxBytes += bar0.read32(GORCL);
    this.macRxBytes += bar0.read32(GORCH) * 0x1_0000_0000;
    this.macTxBytes += bar0.read32(GOTCL);
    this.macTxBytes += bar0.read32(GOTCH) * 0x1_0000_0000;
  }
}
