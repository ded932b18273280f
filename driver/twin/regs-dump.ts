// ethtool's get_regs: register values without side effects. EICR is read through EICS (reading it would clear causes), statistics
// are what the driver has added up, all as in ixgbe. With a debug channel (PciDev.debug, simulation only) the dump does not
// count as an access, and comes with what the device has counted: accesses that it does not model, faults of queues.

import type { EthtoolRegs } from '../ethtool.ts';
import type { NetDevice } from '../netdev.ts';
import { adapterOf } from './adapter.ts';
import { EICR, EICS } from '../../hw/regs.ts';
import { placesOf } from '../../hw/register-def.ts';
import { REGISTERS } from '../../hw/register-map.ts';

/** Offsets of statistics registers, which clear when they are read. */
const CLEARING = new Set<number>();
for (const def of REGISTERS)
  if (def.access === 'rc') for (const { offset } of placesOf(def)) CLEARING.add(offset);

/** EthtoolOps.get_regs of the reference driver. */
export function getRegs(dev: NetDevice): EthtoolRegs {
  const { bar0, pdev, stats } = adapterOf(dev);
  const { debug } = pdev;
  return {
    read32: (offset) => {
      if (CLEARING.has(offset)) return stats.totalOf(offset) % 0x1_0000_0000;
      const at = offset === EICR ? EICS : offset;
      return debug === undefined ? bar0.read32(at) : debug.read32(at);
    },
    unmodelled: debug?.unmodelled() ?? [],
    faults: debug?.queueFaults() ?? [],
  };
}
