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
  QBRC_H,
  QBRC_L,
  QBTC_H,
  QBTC_L,
  QPRDC,
  ROC,
  RUC,
  TORL,
} from '../../hw/regs.ts';
import * as R from '../../hw/regs.ts';

/** Traffic classes, and user priorities. */
const CLASSES = 8;
const MIN_FRAME_OCTETS = 64;
/** Statistics counters per direction that the device has for queues. */
export const QUEUE_COUNTERS = 16;
const QBTC_L_ALIAS = 0x6034;

/** The register whose reading clears this one, −1 when it is not the low half of a pair. */
function highHalfOf(offset: number): number {
  if (offset === GORCL || offset === GOTCL || offset === TORL) return offset + 4;
  for (let i = 0; i < QUEUE_COUNTERS; i++) {
    if (offset === QBRC_L(i)) return QBRC_H(i);
    // QBTC_L is seen at a second place, without its high half.
    if (offset === QBTC_L(i) || offset === QBTC_L_ALIAS + 0x40 * i) return QBTC_H(i);
  }
  return -1;
}

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

  /** 802.3x frames sent and received (LXON..., LXOFF...). */
  txXon = 0;
  txXoff = 0;
  rxXon = 0;
  rxXoff = 0;
  /** 802.1Qbb frames by class sent, by priority received. */
  readonly txPriorityXon = new Float64Array(CLASSES);
  readonly txPriorityXoff = new Float64Array(CLASSES);
  readonly rxPriorityXon = new Float64Array(CLASSES);
  readonly rxPriorityXoff = new Float64Array(CLASSES);

  private readonly bar0: Mmio;
  /** Offset → sum of what was read. */
  private readonly totals = new Map<number, number>();

  constructor(bar0: Mmio) {
    this.bar0 = bar0;
  }

  /** What a statistics register has counted in all; reads it, the low half of a pair with its high half. */
  totalOf(offset: number): number {
    this.take(offset);
    const high = highHalfOf(offset);
    if (high >= 0) this.take(high);
    return this.totals.get(offset) ?? 0;
  }

  /** Reads, and so clears, a register, and remembers its sum. */
  private take(offset: number): number {
    const value = this.bar0.read32(offset);
    this.totals.set(offset, (this.totals.get(offset) ?? 0) + value);
    return value;
  }

  /** Reads and adds all counters (about 70 register reads, charged). */
  update(queueCount: number): void {
    for (let i = 0; i < 8; i++) this.rxMissed += this.take(MPC(i));
    for (let i = 0; i < Math.min(queueCount, QUEUE_COUNTERS); i++) {
      const drops = this.take(QPRDC(i));
      this.rxNoDescriptor += drops;
      this.rxNoDescriptorOfQueue[i] += drops;
    }
    this.rxTooLong += this.take(ROC);
    this.rxTooShort += this.take(RUC);
    this.rxCrcErrors += this.take(CRCERRS);
    this.multicast += this.take(MPRC);
    this.macRxPackets += this.take(GPRC);
    this.macTxPackets += this.take(GPTC);
    // Low before high: reading the high half clears both (datasheet 8.2.3.23).
    this.macRxBytes += this.take(GORCL);
    this.macRxBytes += this.take(GORCH) * 0x1_0000_0000;
    this.macTxBytes += this.take(GOTCL);
    this.macTxBytes += this.take(GOTCH) * 0x1_0000_0000;
    this.updateFlowControl();
  }

  /** Pause frames. Those sent are in GPTC and GOTC too, from where they are taken out again, as ixgbe does. */
  private updateFlowControl(): void {
    const xon = this.take(R.LXONTXC);
    const xoff = this.take(R.LXOFFTXC);
    this.txXon += xon;
    this.txXoff += xoff;
    this.macTxPackets -= xon + xoff;
    this.macTxBytes -= (xon + xoff) * MIN_FRAME_OCTETS;
    this.rxXon += this.take(R.LXONRXC);
    this.rxXoff += this.take(R.LXOFFRXC);
    for (let i = 0; i < CLASSES; i++) {
      this.txPriorityXon[i] += this.take(R.PXONTXC(i));
      this.txPriorityXoff[i] += this.take(R.PXOFFTXC(i));
      this.rxPriorityXon[i] += this.take(R.PXONRXC(i));
      this.rxPriorityXoff[i] += this.take(R.PXOFFRXC(i));
    }
  }
}
