// NIC models as data: one class runs them all, a new device is a new configuration.
//
// Every figure has its source beside it: "hw N.N" is spec/hardware.md of the project (section), "ds" the 82599 datasheet,
// "assumed" our own choice where no source gives one. No constant was fitted to a figure that a test checks.

import type { SwitchConfig } from './switch/config.ts';
import type { PlacementConfig } from './table/placement/index.ts';
import type { RssConfig } from './table/rss.ts';

/** PCI Express link of the device (all ports share it). */
export interface PcieConfig {
  /** 1 to 5; 1 and 2 with eight lanes only. */
  generation: number;
  /** 1, 4, 8 or 16. */
  lanes: number;
  /** Maximum payload of a write TLP, bytes. */
  mpsBytes: number;
  /** Maximum read request, bytes. */
  mrrsBytes: number;
  /** Completions are cut at this boundary, bytes. */
  rcbBytes: number;
  /** From a read request leaving the device to the first byte of its completion, ps. */
  readLatencyPs: number;
  /** More latency per byte read, beyond the wire's own time: the host's memory and the device's DMA engine, ps. */
  readPsPerByte: number;
  /** From a posted write leaving one end to its effect at the other (DMA write, doorbell, MSI), ps. */
  writeLatencyPs: number;
  /** Bits of the addresses that the device sends: 32 or 64. */
  addressBits: number;
  /** End-to-end CRC on every TLP. */
  ecrc: boolean;
  /** More read latency because memory is at another socket, ps; 0 for the device's own. */
  numaPs: number;
  /** Limits and latencies of the host side; null for a host that takes everything at once. */
  host: HostSideConfig | null;
}

/** The host's end of the link (hw/pcie/host-side.ts). */
export interface HostSideConfig {
  /** Read requests in flight at most, 1 to 1024; 0 unlimited. */
  readTags: number;
  /** Bytes of posted writes in flight at most (flow-control credits of 16 bytes); 0 unlimited. */
  postedBytes: number;
  readSpread: ReadSpread | null;
  iommu: IommuConfig | null;
}

/** Distribution of a read's latency around its median, by three of its values, ps. */
export interface ReadSpread {
  leastPs: number;
  medianPs: number;
  p999Ps: number;
  seed: number;
}

export interface IommuConfig {
  pageBytes: number;
  /** Pages in the IO-TLB, 1 to 4096. */
  entries: number;
  /** A page walk, ps. */
  missPs: number;
  /** Walks at a time. */
  walkers: number;
}

/** Measured spreads of 64-byte reads, ps (hw 1.5): E5-2630v4, and E3-1226v3 with its microsecond tail. */
export const READ_SPREADS = {
  e5: { leastPs: 520_000, medianPs: 546_000, p999Ps: 586_000 },
  e3: { leastPs: 506_000, medianPs: 1_226_000, p999Ps: 14_600_000 },
} as const;

/** Memory of the other socket: 653 against 546 ns (hw 1.5). */
export const NUMA_REMOTE_PS = 107_000;

/** IO-TLB of 4 KiB pages (hw 1.5): 64 entries from the knee at 256 KiB, about 330 ns a miss (from memory of the paper). */
export const DEFAULT_IOMMU: IommuConfig = {
  pageBytes: 4096,
  entries: 64,
  missPs: 330_000,
  walkers: 6, // calibrated on V11: 9.8 Gb/s of 64-byte reads that all miss are 19.1 M walks/s, 6.3 of 330 ns at a time
};

/** Cycles of the packet pipeline's stages. Latency delays a packet, the interval bounds the rate. */
export interface PipelineConfig {
  clockMhz: number;
  /** One packet may start every so many cycles. */
  intervalCycles: number;
  parserBaseCycles: number;
  /** Per header beyond Ethernet: each tag, IP, transport. */
  parserHeaderCycles: number;
  tcamCycles: number;
  exactCycles: number;
  actionCycles: number;
}

export interface AdminConfig {
  maxSlots: number;
  /** Firmware time of any command, ps. */
  commandPs: number;
  /** More for an insertion, ps. */
  insertPs: number;
  /** More for every entry that an insertion or removal displaces or moves, ps; charged after it, before its completion. */
  movePs: number;
  /** More for every entry read or reset, ps. */
  entryPs: number;
}

export interface NicConfig {
  /** Model name, for reports. */
  name: string;
  /** Number of ports; each is a PCI function with its own BARs. 1 to 16. */
  ports: number;
  /** RX and TX queues per port, 1 to 128 (RSS reaches as many as its entries have bits for). */
  queues: number;
  /** MSI-X vectors per function, 1 to 64. */
  vectors: number;
  lineRateBps: number;
  /** Address of port 0 in the EEPROM, six bytes; port n adds n to the last one. */
  permanentMac: readonly number[];
  /** Largest ring, descriptors. */
  maxRingSlots: number;
  /** Descriptors read in one go. */
  descriptorBatch: number;
  rxPacketBufferBytes: number;
  txPacketBufferBytes: number;
  /** Largest frame without FCS that the device's memory takes, bytes (captures of segmentation offload have 64 KiB frames). */
  maxFrameBytes: number;
  /** One way through PHY and MAC, ps. */
  macLatencyPs: number;
  exactMatch: { entries: number; ways: number; stashEntries: number; maxKicks: number };
  /** With `placement`, TCAM_ADD gives priorities and the device decides positions (its depth is `entries`). */
  tcam: { entries: number; placement?: PlacementConfig };
  pipeline: PipelineConfig;
  /** Staged match-action tables in front of MAC filter and flow tables; null or left out: none. */
  stages?: SwitchConfig | null;
  pcie: PcieConfig;
  admin: AdminConfig;
  /** false: there is no flow table behind the stages; FLOW_ADD is refused. */
  hasFlowTable?: boolean;
  /** The flow stage takes only frames whose destination MAC is RAL0/RAH0 of the port. */
  flowStageChecksDmac: boolean;
  /** Reset value of HLREG0.TXPADEN: pad short frames to 60 bytes on the way out. */
  txPadReset: boolean;
  /** Indirection table, key and contexts. */
  rss: RssConfig;
  /** Verify transport checksums of frames that go to the host (L4CS, TCPE). */
  rxChecksum: boolean;
}

/** A two-port 10G NIC with flow tables: the default of scenarios. `overrides` replaces whole top-level fields. */
export function genericNic(overrides: Partial<NicConfig> = {}): NicConfig {
  return {
    name: 'generic-2x10g',
    ports: 2, // as a dual-port 82599 board
    queues: 8, // assumed: one per core of a small host
    vectors: 16, // assumed; the 82599 has 64 per function (ds 7.3.4)
    lineRateBps: 10e9, // hw 6
    permanentMac: [0x02, 0x66, 0x74, 0x00, 0x00, 0x00], // assumed: locally administered
    maxRingSlots: 8192, // ds 8.2.3.8.7: RDLEN up to 8 K descriptors
    descriptorBatch: 40, // hw 1.3: 40 descriptors at a time, 640 bytes
    rxPacketBufferBytes: 512 * 1024, // ds 8.2.3.8.9: RXPBSIZE[0] = 512 KB
    txPacketBufferBytes: 160 * 1024, // ds 8.2.3.9.11: TXPBSIZE[0] = 160 KB
    maxFrameBytes: 65535 + 18, // assumed: largest IP packet, Ethernet header and one tag
    macLatencyPs: 300_000, // assumed: 0.3 us one way through 10GBASE-R PHY and MAC
    exactMatch: {
      entries: 65536, // assumed; hw 4.1 and 4.2 range from 8 K to some 100 K
      ways: 4, // hw 4.2: bucket width 4 (MediaTek PPE V2)
      stashEntries: 16, // assumed
      maxKicks: 32, // assumed
    },
    tcam: { entries: 512 }, // hw 4.3: depth of one Tofino TCAM block
    pipeline: {
      clockMhz: 1270, // hw 4.3: Tofino MAU clock
      intervalCycles: 4, // assumed: 317 Mpps, above any line rate here
      parserBaseCycles: 16, // assumed
      parserHeaderCycles: 4, // assumed
      tcamCycles: 22, // hw 4.3: 20 per match stage, 2 more with a TCAM
      exactCycles: 20, // hw 4.3
      actionCycles: 4, // hw 4.3: statistics part of a stage
    },
    pcie: {
      generation: 3, // hw 1: the measured configuration
      lanes: 8,
      mpsBytes: 256, // hw 1.2
      mrrsBytes: 512, // hw 1.2
      rcbBytes: 256, // hw 1.2: completions of MPS size
      readPsPerByte: 147, // hw 1.5: slope 0.296 ns/B from 64 to 2048 B, less 0.149 ns/B on the wire (calibrated on V9)
      readLatencyPs: 546_000, // hw 1.5: DMA 64 B read, median, HSW and BDW E5
      writeLatencyPs: 230_000, // hw 1.5, assumed: (write-then-read 773 ns − read 546 ns)
      addressBits: 64, // hw 1.2
      ecrc: false, // hw 1.2
      numaPs: 0,
      host: null,
    },
    admin: {
      maxSlots: 1024, // assumed
      commandPs: 2_000_000, // assumed; V21: 493 k/s inserts of a ConnectX-5 group are 2.03 us each
      insertPs: 0,
      movePs: 100_000, // assumed
      entryPs: 50_000, // assumed
    },
    flowStageChecksDmac: true,
    txPadReset: true, // ds 8.2.3.22.8
    rss: {
      tableEntries: 128, // hw 2.2: 82599
      keyBytes: 40, // hw 2.2
      entryBits: 4, // hw 2.2: 16 queues
      contexts: 8, // assumed; the 82599 has none, newer NICs have dozens
    },
    rxChecksum: true,
    ...overrides,
  };
}
