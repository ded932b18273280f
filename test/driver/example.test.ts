// The example of docs/write-a-driver-test.md, run: a driver of one's own, against registers and host memory. The last test
// keeps document and code the same.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { must } from '../support/must.ts';
// [driver
import { Kernel } from '../../driver/index.ts';
import type { CoherentMemory, PciDev } from '../../driver/index.ts';
import { HostMemory, Nic, Scheduler, genericNic } from '../../hw/index.ts';
import * as D from '../../hw/dma/descriptor.ts';
import * as R from '../../hw/regs.ts';

const SLOTS = 8;

/** Sends each frame back to where it came from. */
class EchoDriver {
  echoed = 0;
  private slot = 0;
  constructor(kernel: Kernel, { bar0, functionIndex }: PciDev) {
    bar0.write32(R.CTRL, R.CTRL_RST);
    while ((bar0.read32(R.EEC) & R.EEC_ARD) === 0) kernel.udelay(10);
    const rx = kernel.dma_alloc_coherent(SLOTS * D.DESCRIPTOR_BYTES) as CoherentMemory;
    const tx = kernel.dma_alloc_coherent(SLOTS * D.DESCRIPTOR_BYTES) as CoherentMemory;
    const buffers = kernel.dma_alloc_coherent(SLOTS * 2048) as CoherentMemory;
    for (let s = 0; s < SLOTS; s++)
      D.writeRxRead(rx.view, rx.at + s * D.DESCRIPTOR_BYTES, buffers.iova + s * 2048);
    bar0.write32(R.RDBAL(0), rx.iova);
    bar0.write32(R.RDLEN(0), SLOTS * D.DESCRIPTOR_BYTES);
    bar0.write32(R.TDBAL(0), tx.iova);
    bar0.write32(R.TDLEN(0), SLOTS * D.DESCRIPTOR_BYTES);
    bar0.write32(R.SRRCTL(0), R.SRRCTL_DESCTYPE_ADV_ONEBUF | 2);
    bar0.write32(R.DMATXCTL, bar0.read32(R.DMATXCTL) | R.DMATXCTL_TE);
    bar0.write32(R.TXDCTL(0), R.TXDCTL_ENABLE);
    bar0.write32(R.RXDCTL(0), R.RXDCTL_ENABLE);
    while ((bar0.read32(R.RXDCTL(0)) & R.RXDCTL_ENABLE) === 0) kernel.udelay(1);
    bar0.write32(R.RDT(0), SLOTS - 1);
    bar0.write32(R.FCTRL, R.FCTRL_UPE);
    bar0.write32(R.RXCTRL, R.RXCTRL_RXEN);
    kernel.request_irq(functionIndex, 0, () => this.interrupt(bar0, rx, tx, buffers), 0);
    bar0.write32(R.GPIE, R.GPIE_MSIX_MODE);
    bar0.write32(R.IVAR(0), R.IVAR_ALLOC_VAL); // receive queue 0: vector 0
    bar0.write32(R.EIMS_EX(0), 1);
  }

  private interrupt(bar0: PciDev['bar0'], ...rings: CoherentMemory[]): void {
    const [rx, tx, buffers] = rings as [CoherentMemory, CoherentMemory, CoherentMemory];
    for (;;) {
      const at = this.slot * D.DESCRIPTOR_BYTES;
      if ((D.rxStatus(rx.view, rx.at + at) & D.RXD_STAT_DD) === 0) return;
      const frameAt = buffers.at + this.slot * 2048;
      const macs = buffers.bytes.slice(frameAt, frameAt + 12);
      buffers.bytes.set([...macs.subarray(6), ...macs.subarray(0, 6)], frameAt);
      const lenBytes = D.rxLengthBytes(rx.view, rx.at + at);
      const iova = buffers.iova + this.slot * 2048;
      D.writeTxData(tx.view, tx.at + at, iova, lenBytes, D.TXD_DCMD_EOP, lenBytes, 0);
      D.writeRxRead(rx.view, rx.at + at, iova);
      bar0.write32(R.RDT(0), this.slot); // frees the slot before this one
      this.slot = (this.slot + 1) % SLOTS;
      bar0.write32(R.TDT(0), this.slot);
      this.echoed++;
    }
  }
}
// driver]

describe('a driver of one’s own', () => {
  // [test
  it('echoes frames', () => {
    const scheduler = new Scheduler();
    const memory = new HostMemory(1 << 20);
    const kernel = new Kernel({ scheduler, memory });
    const sent: Uint8Array[] = [];
    const observer = {
      onEgress: ({ bytes, at, lenBytes }: { bytes: Uint8Array; at: number; lenBytes: number }) =>
        sent.push(bytes.slice(at, at + lenBytes)),
      onDrop: () => {},
      onRx: () => {},
    };
    const nic = new Nic(genericNic(), { scheduler, memory, msix: kernel, observer });
    kernel.syncDevices = (nowPs) => nic.sync(nowPs);
    const { bar0, bar2 } = nic.functions[0];
    const pci = { functionIndex: 0, busInfo: '0000:01:00.0', bar0, bar2 };
    const driver = new EchoDriver(kernel, pci);
    const frame = new Uint8Array(64).map((_, i) => i);
    for (let n = 0; n < 20; n++) {
      nic.frameIn(0, scheduler.nowPs, frame, 0, frame.length, n);
      scheduler.runUntil(scheduler.nowPs + 10e6);
    }
    expect(driver.echoed).toBe(20);
    expect(bar0.read32(R.GPTC)).toBe(20);
    expect([...sent[19].subarray(0, 12)]).toEqual([6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5]);
  });
  // test]

  it('is what the document shows', () => {
    const root = new URL('../../', import.meta.url);
    const code = readFileSync(new URL('test/driver/example.test.ts', root), 'utf8');
    const text = readFileSync(new URL('docs/write-a-driver-test.md', root), 'utf8');
    for (const part of ['driver', 'test']) {
      const shown = must(new RegExp(`// \\[${part}\\n([^]*?)\\n *// ${part}\\]`).exec(code))[1];
      const flat = (s: string): string => s.replace(/^ +/gm, '');
      expect(flat(text)).toContain(flat(shown));
    }
  });
});
