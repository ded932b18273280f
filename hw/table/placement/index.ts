// The placement engines by name, as device profiles name them.

import { ChainAncestorOrder } from './chain-ancestor.ts';
import type { PlacementEngine } from './engine.ts';
import { Parman } from './parman.ts';
import { PrefixLengthOrder } from './prefix-length.ts';
import { RegionMasks } from './region-masks.ts';
import { RowManager } from './row-manager.ts';
import { ShiftingArray } from './shifting-array.ts';

/** What a device profile says about the placement of one table. */
export type PlacementConfig =
  | { engine: 'shifting-array'; depth: number }
  | { engine: 'parman'; depth: number }
  /** `depth` counts slices; rows = depth / rowSlices. */
  | { engine: 'rows-per-priority'; depth: number; rowSlices: 1 | 2 | 4; topPriority: number }
  | { engine: 'prefix-length-middle' | 'prefix-length-end'; depth: number; levels: number }
  | { engine: 'chain-ancestor'; depth: number }
  | {
      engine: 'exact-masks-and-spill';
      depth: number;
      buckets: number;
      ways: number;
      maxMasks: number;
    };

export type PlacementEngineName = PlacementConfig['engine'];

/** Builds the engine of a profile; for 'exact-masks-and-spill', `depth` is the C-TCAM's. */
export function makePlacement(config: PlacementConfig): PlacementEngine {
  switch (config.engine) {
    case 'shifting-array':
      return new ShiftingArray(config.depth);
    case 'parman':
      return new Parman(config.depth);
    case 'rows-per-priority':
      return new RowManager(config.depth / config.rowSlices, config.rowSlices, config.topPriority);
    case 'prefix-length-middle':
      return new PrefixLengthOrder(config.depth, config.levels);
    case 'prefix-length-end':
      return new PrefixLengthOrder(config.depth, config.levels, config.levels);
    case 'chain-ancestor':
      return new ChainAncestorOrder(config.depth);
    case 'exact-masks-and-spill':
      return new RegionMasks({
        cDepth: config.depth,
        buckets: config.buckets,
        ways: config.ways,
        maxMasks: config.maxMasks,
      });
  }
}
