// `device: pcie:` of a scenario: how the NIC's PCI Express link and the host behind it differ from the profile's
// (docs/scenario.md). Everything that bounds or delays single transfers is off unless asked for.

import { z } from 'zod';
import { DEFAULT_IOMMU, NUMA_REMOTE_PS, READ_SPREADS } from '../../hw/models.ts';
import type { HostSideConfig, IommuConfig, NicConfig } from '../../hw/models.ts';
import { hasPcieFigures } from '../../hw/pcie/link.ts';
import { durationPs, oneOf, quantity, upTo } from './fields.ts';

const IOMMU_EXPECTED = 'expected on, off or { page: 4Ki, entries: 64, miss: 330ns, walkers: 6 }';
const iommuSchema = z.strictObject({
  /** 4Ki, 2Mi, 1Gi. */
  page: oneOf(4096, 2 ** 21, 2 ** 30).default(DEFAULT_IOMMU.pageBytes),
  entries: upTo(4096, 1).default(DEFAULT_IOMMU.entries),
  miss: durationPs.default(DEFAULT_IOMMU.missPs),
  walkers: upTo(64, 1).default(DEFAULT_IOMMU.walkers),
});

export const pcieSchema = z.strictObject({
  generation: oneOf(1, 2, 3, 4, 5).optional(),
  lanes: oneOf(1, 4, 8, 16).optional(),
  mps: oneOf(128, 256, 512, 1024).optional(),
  mrrs: oneOf(128, 256, 512, 1024, 2048, 4096).optional(),
  rcb: oneOf(64, 128, 256, 512).optional(),
  addressBits: oneOf(32, 64).optional(),
  ecrc: z.boolean().optional(),
  readLatency: durationPs.optional(),
  writeLatency: durationPs.optional(),
  numa: z.literal(['local', 'remote']).default('local'),
  readTags: upTo(1024).default(0),
  postedBytes: quantity.default(0),
  spread: z.literal(['off', 'e5', 'e3']).default('off'),
  iommu: z.union([z.literal('off'), z.literal('on'), iommuSchema], IOMMU_EXPECTED).default('off'),
  descriptorBatch: upTo(64, 1).optional(),
});

export type PcieOption = z.infer<typeof pcieSchema>;

/** The link that an option describes, over a standard one. Throws an Error for one that there are no figures for. */
export function pcieOf(option: PcieOption, standard: NicConfig, seed: number): Partial<NicConfig> {
  const { pcie } = standard;
  const config = {
    ...pcie,
    generation: option.generation ?? pcie.generation,
    lanes: option.lanes ?? pcie.lanes,
    mpsBytes: option.mps ?? pcie.mpsBytes,
    mrrsBytes: option.mrrs ?? pcie.mrrsBytes,
    rcbBytes: option.rcb ?? pcie.rcbBytes,
    addressBits: option.addressBits ?? pcie.addressBits,
    ecrc: option.ecrc ?? pcie.ecrc,
    readLatencyPs: option.readLatency ?? pcie.readLatencyPs,
    writeLatencyPs: option.writeLatency ?? pcie.writeLatencyPs,
    numaPs: option.numa === 'remote' ? NUMA_REMOTE_PS : 0,
    host: hostOf(option, seed),
  };
  return {
    pcie: config,
    descriptorBatch: option.descriptorBatch ?? standard.descriptorBatch,
  };
}

/** Whether the tables have the link; for the schema, which knows the line. */
export function isKnownLink(option: PcieOption, standard: NicConfig): boolean {
  const { pcie } = pcieOf(option, standard, 0);
  return pcie !== undefined && hasPcieFigures(pcie);
}

function hostOf(option: PcieOption, seed: number): HostSideConfig | null {
  const { readTags, postedBytes, spread } = option;
  const iommu = iommuOf(option);
  if (readTags === 0 && postedBytes === 0 && spread === 'off' && iommu === null) return null;
  const readSpread = spread === 'off' ? null : { ...READ_SPREADS[spread], seed };
  return { readTags, postedBytes, readSpread, iommu };
}

function iommuOf({ iommu }: PcieOption): IommuConfig | null {
  if (iommu === 'off') return null;
  if (iommu === 'on') return DEFAULT_IOMMU;
  return {
    pageBytes: iommu.page,
    entries: iommu.entries,
    missPs: iommu.miss,
    walkers: iommu.walkers,
  };
}
