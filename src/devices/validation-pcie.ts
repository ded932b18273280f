// Published figures of PCIe against the model (V1 to V5, V7 to V9, V11): every one of them comes out of `PcieLink` moving the
// transfers in question.
//
// V4, V5, V7 run a NIC's transfers of one packet each way (spec 1.3). The published curves leave out the requests of
// the receive side's descriptor reads (an assignment where an addition was meant): "as published" leaves them out, too.

import { DEFAULT_IOMMU, genericNic } from '../../hw/models.ts';
import type { HostSideConfig, PcieConfig } from '../../hw/models.ts';
import { PcieLink, tlpBandwidthGbps } from '../../hw/pcie/link.ts';
import { row } from './validation-row.ts';
import type { Published } from './validation-row.ts';

const PCIE_MODEL = 'pcie-bench model @40703cf';
const MEASURED = 'pcie-bench data @b2abf2f';
const NO_LIMITS: HostSideConfig = { readTags: 0, postedBytes: 0, readSpread: null, iommu: null };

/** Gen3 x8, MPS 256, MRRS 512, 64-bit addresses. */
function link(changes: Partial<PcieConfig> = {}): PcieLink {
  return new PcieLink({ ...genericNic().pcie, ...changes }, { nowPs: 0 });
}

const AT_ONCE = { readLatencyPs: 0, readPsPerByte: 0, writeLatencyPs: 0 };

export function pcieRows(): Published[] {
  return [...transferRows(), ...nicRows(), ...lineRateRows(), ...latencyRows(), ...iommuRows()];
}

const TRANSFERS = 2000;

/** Gb/s of payload when transfers of one kind queue up. */
function gbps(lenBytes: number, move: (link: PcieLink) => number): number {
  const one = link(AT_ONCE);
  let endPs = 0;
  for (let i = 0; i < TRANSFERS; i++) endPs = move(one);
  return (TRANSFERS * lenBytes * 8000) / endPs;
}

function transferRows(): Published[] {
  const write = (bytes: number): number => gbps(bytes, (one) => one.write(0, bytes, 0));
  const read = (bytes: number): number => gbps(bytes, (one) => one.read(0, bytes, 0));
  const what = 'PCIe Gen3 x8, MPS 256';
  const make = (id: string, figure: string, published: number, model: number): Published =>
    row(id, `${what}: ${figure}`, PCIE_MODEL, 'Gb/s', published, model, { tolerance: 0.001 });
  const measured = (figure: string, published: number, model: number): Published =>
    row('V8', `${what}: ${figure}`, `${MEASURED}, E5 hosts, middle`, 'Gb/s', published, model, {
      tolerance: 0.06,
    });
  const bandwidth = tlpBandwidthGbps(genericNic().pcie);
  return [
    make('V1', 'TLP bandwidth', 57.885, bandwidth),
    make('V2', 'DMA write 64 B', 42.1, write(64)),
    make('V2', 'DMA write 256 B', 52.92, write(256)),
    make('V2', 'DMA write 257 B', 48.78, write(257)),
    make('V2', 'DMA write 1500 B', 52.81, write(1500)),
    make('V3', 'DMA read 64 B', 44.1, read(64)),
    make('V3', 'DMA read 256 B', 53.69, read(256)),
    make('V3', 'DMA read 512 B', 53.69, read(512)),
    measured('DMA write 512 B, measured', 53.75, write(512)),
    measured('DMA read 512 B, measured', 55.35, read(512)),
  ];
}

/** What one NIC and its driver transfer, as "once in so many packets". 0: never. */
interface Transactions {
  /** Transmit: tail writes, descriptors a read, descriptors a write-back (0 none), interrupts, head pointer reads. */
  txTail: number;
  txDescriptors: number;
  txWriteBack: number;
  txInterrupt: number;
  txHead: number;
  /** Receive: tail writes, interrupts, head pointer reads; descriptors are read and written back one by one. */
  rxTail: number;
  rxInterrupt: number;
  rxHead: number;
}

const SIMPLE_NIC: Transactions = {
  txTail: 1,
  txDescriptors: 1,
  txWriteBack: 0,
  txInterrupt: 1,
  txHead: 1,
  rxTail: 1,
  rxInterrupt: 1,
  rxHead: 1,
};
/** The 82599 under Linux ixgbe. */
const KERNEL_NIC: Transactions = {
  txTail: 1,
  txDescriptors: 40,
  txWriteBack: 8,
  txInterrupt: 32,
  txHead: 1,
  rxTail: 32,
  rxInterrupt: 32,
  rxHead: 8,
};
/** Packets after which every batch above is complete. */
const PACKETS = 160;
const DESCRIPTOR_BYTES = 16;
const FCS_BYTES = 4;

/** Gb/s each way when both directions are loaded as much as PCIe allows; `frameBytes` with FCS. */
function bidirectionalGbps(nic: Transactions, frameBytes: number, asPublished: boolean): number {
  const bytes = frameBytes - FCS_BYTES;
  const one = link(AT_ONCE);
  const apart = link(AT_ONCE);
  const isDue = (every: number, packet: number): boolean => every > 0 && packet % every === 0;
  for (let packet = 0; packet < PACKETS; packet++) {
    if (isDue(nic.txTail, packet)) one.doorbell(0);
    if (isDue(nic.txDescriptors, packet)) one.read(0, nic.txDescriptors * DESCRIPTOR_BYTES, 0);
    one.read(0, bytes, 0);
    if (isDue(nic.txWriteBack, packet)) one.write(0, nic.txWriteBack * DESCRIPTOR_BYTES, 0);
    if (isDue(nic.txInterrupt, packet)) one.message();
    if (isDue(nic.txHead, packet)) one.registerRead();
    if (isDue(nic.rxTail, packet)) one.doorbell(0);
    (asPublished ? apart : one).read(0, DESCRIPTOR_BYTES, 0);
    one.write(0, bytes, 0);
    one.write(0, DESCRIPTOR_BYTES, 0);
    if (isDue(nic.rxInterrupt, packet)) one.message();
    if (isDue(nic.rxHead, packet)) one.registerRead();
  }
  // Of the read that is kept apart only the data counts, not the request.
  const busyPs = Math.max(one.up.busyPs, one.down.busyPs + apart.down.busyPs);
  return (PACKETS * bytes * 8000) / busyPs;
}

function nicRows(): Published[] {
  const simple = 'simple NIC';
  const kernel = '82599 with ixgbe';
  const published: [string, string, Transactions, number, number, number][] = [
    ['V4', simple, SIMPLE_NIC, 64, 12.58, 11.58],
    ['V4', simple, SIMPLE_NIC, 256, 31.17, 29.65],
    ['V4', simple, SIMPLE_NIC, 512, 39.31, 38.09],
    ['V5', kernel, KERNEL_NIC, 64, 17.63, 15.72],
    ['V5', kernel, KERNEL_NIC, 512, 43.96, 42.44],
  ];
  const rows: Published[] = [];
  for (const [id, name, nic, frame, asPublished, fixed] of published)
    for (const isPublished of [true, false])
      rows.push(
        row(
          id,
          `${name}, both ways, ${frame} B${isPublished ? ', as published' : ', fixed'}`,
          PCIE_MODEL,
          'Gb/s',
          isPublished ? asPublished : fixed,
          bidirectionalGbps(nic, frame, isPublished),
          { tolerance: 0.002 },
        ),
      );
  return rows;
}

/**
 * 40GbE without FCS as the published curves have it: 20 bytes of gap and preamble a frame, a minimum of 64 (with a VLAN tag),
 * and the FCS taken off twice (hw 1.3, small print).
 */
function line40Gbps(frameBytes: number): number {
  const bytes = frameBytes - FCS_BYTES;
  return (40 * bytes) / (Math.max(bytes, 64) + 20);
}

/** Smallest frame from which on a NIC keeps 40GbE busy both ways. */
function sustainsFrom(nic: Transactions): number {
  let frame = 1518;
  while (frame > 64 && bidirectionalGbps(nic, frame - 1, true) >= line40Gbps(frame - 1)) frame--;
  return frame;
}

function lineRateRows(): Published[] {
  const make = (name: string, published: number, nic: Transactions): Published => {
    const what = `${name}: 40GbE both ways from this frame on, as published`;
    return row('V7', what, PCIE_MODEL, 'B', published, sustainsFrom(nic), {
      tolerance: 4 / published,
    });
  };
  return [make('simple NIC', 583, SIMPLE_NIC), make('82599 with ixgbe', 300, KERNEL_NIC)];
}

function latencyRows(): Published[] {
  const published = [
    [64, 546],
    [512, 706],
    [2048, 1133],
  ];
  return published.map(([bytes, ns]) => {
    const what = `DMA read latency ${bytes} B`;
    const model = link().read(0, bytes, 0) / 1000;
    return row('V9', what, `${MEASURED}, E5-2630v4, median`, 'ns', ns, model, {
      tolerance: 0.05,
      basis: 'calibrated',
    });
  });
}

const KIB = 1024;
const READS = 20_000;

/** Gb/s of random reads of aligned blocks in a window, the IO-TLB warm. */
function windowGbps(windowKib: number, lenBytes: number, hasIommu: boolean): number {
  const host = { ...NO_LIMITS, iommu: hasIommu ? DEFAULT_IOMMU : null };
  const one = link({ host });
  const blocks = (windowKib * KIB) / lenBytes;
  for (let iova = 0; iova < windowKib * KIB; iova += DEFAULT_IOMMU.pageBytes)
    one.host?.ioTlb?.missesOf(iova, 1);
  let state = 0x2545f491;
  let endPs = 0;
  for (let i = 0; i < READS; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const block = Math.floor((state / 2 ** 32) * blocks);
    endPs = Math.max(endPs, one.read(0, lenBytes, block * lenBytes));
  }
  return (READS * lenBytes * 8000) / endPs;
}

/** V11. The measured device reads 62.7 M blocks a second at most; the model's link is not held back by a device. */
function iommuRows(): Published[] {
  const source = `${MEASURED}, E5-2630v4, 4 KiB pages`;
  const loss = (kib: number, bytes: number): number =>
    100 * (1 - windowGbps(kib, bytes, true) / windowGbps(kib, bytes, false));
  let knee = 0;
  for (let kib = 4; kib <= 1024 && loss(kib, 64) < 1; kib *= 2) knee = kib;
  const make = (what: string, unit: string, published: number, model: number, rest = {}) =>
    row('V11', `IOMMU, ${what}`, source, unit, published, model, rest);
  return [
    make('64 B reads: largest window without loss', 'KiB', 256, knee, { basis: 'calibrated' }),
    make('64 B random reads in 64 MiB', 'Gb/s', 9.8, windowGbps(65536, 64, true), {
      tolerance: 0.1,
      basis: 'calibrated',
    }),
    make('64 B random reads in 512 KiB', 'Gb/s', 22.3, windowGbps(512, 64, true), {
      tolerance: 0.2,
      gated: false,
    }),
    make('512 B random reads in 64 MiB: loss', '%', 3, loss(65536, 512), { bound: 'most' }),
  ];
}
