// Statistics registers of a function: cleared by reading, 32 bits that stick at their maximum; octet counters are pairs,
// cleared by reading the high half.

import type { PciFunction } from './function.ts';
import { C } from './stats.ts';

const HIGH = 0x1_0000_0000;

/** Installs the hooks. */
export function wireStatistics(fn: PciFunction): void {
  const stats = fn.ctx.stats[fn.index];
  const regs = fn.registers;
  const single = (name: string, counter: number): void =>
    regs.onRead(name, (i) => stats.take32(counter + i));
  const pair = (low: string, high: string, counter: number, highMask: number): void => {
    regs.onRead(low, (i) => stats.peek(counter + i) % HIGH);
    regs.onRead(high, (i) => {
      const value = Math.floor(stats.peek(counter + i) / HIGH) & highMask;
      stats.clear(counter + i);
      return value;
    });
  };
  single('MPC', C.RX_CLASS_MISSED);
  single('LXONTXC', C.TX_XON);
  single('LXOFFTXC', C.TX_XOFF);
  single('LXONRXC', C.RX_XON);
  single('LXOFFRXC', C.RX_XOFF);
  single('PXONTXC', C.TX_PRIORITY_XON);
  single('PXOFFTXC', C.TX_PRIORITY_XOFF);
  single('PXONRXC', C.RX_PRIORITY_XON);
  single('PXOFFRXC', C.RX_PRIORITY_XOFF);
  regs.onRead('RNBC', (i) => (i === 0 ? stats.take32(C.RX_NO_BUFFER) : 0));
  regs.onRead('MLFC', () => fn.link.takeDowns());
  single('PRC', C.RX_SIZE);
  single('PTC', C.TX_SIZE);
  single('XEC', C.RX_CHECKSUM_ERRORS);
  single('GPRC', C.RX_GOOD);
  single('BPRC', C.RX_BROADCAST);
  single('MPRC', C.RX_MULTICAST);
  // GPTC and TPT count the same frames here, each with its own read-to-clear state.
  single('GPTC', C.TX_FRAMES);
  single('TPT', C.TX_TOTAL);
  single('MPTC', C.TX_MULTICAST);
  single('BPTC', C.TX_BROADCAST);
  single('RUC', C.RX_UNDERSIZE);
  single('ROC', C.RX_OVERSIZE);
  single('TPR', C.RX_FRAMES);
  single('QPRC', C.QUEUE_RX_PACKETS);
  single('QPRDC', C.QUEUE_RX_DROPS);
  single('QPTC', C.QUEUE_TX_PACKETS);
  pair('GORCL', 'GORCH', C.RX_GOOD_OCTETS, 15);
  pair('GOTCL', 'GOTCH', C.TX_OCTETS, 15);
  pair('TORL', 'TORH', C.RX_OCTETS, 15);
  pair('QBRC_L', 'QBRC_H', C.QUEUE_RX_BYTES, -1);
  pair('QBTC_L', 'QBTC_H', C.QUEUE_TX_BYTES, -1);
}
