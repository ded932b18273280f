// The devlink instance of a function of the reference driver: its port, versions, parameters that are read when the driver starts,
// the sizes of its flow tables, and reload, which is the driver's reinitialisation.
//
// Parameters (driverinit): atr_sample_rate (every n-th TCP packet sent teaches Flow Director, 0 off) and fdir_pballoc (Flow Director's
// share of the packet buffer, 1 to 3: 2046, 4094 or 8190 filters). Left out: tables of tc filters, which the device lays out itself.

import { DRIVER_NAME, adapterOf } from './adapter.ts';
import type { TwinAdapter } from './adapter.ts';
import { fdirCapacity } from './fdir.ts';
import { Devlink, driverinitParam } from '../devlink.ts';
import type { DevlinkParam, DevlinkResource } from '../devlink.ts';
import { EINVAL, ENOSPC } from '../errno.ts';
import type { NetDevice } from '../netdev.ts';
import { ADM_CAP_FLOW_ENTRIES, ADM_VERSION } from '../../hw/admin/format.ts';

const U32_MAX = 0xffffffff;
const PBALLOC_MAX = 3;

/** Registers the instance of a device; `reinit` restarts its function. */
export function registerTwinDevlink(dev: NetDevice, reinit: (dev: NetDevice) => number): void {
  const adapter = adapterOf(dev);
  const { kernel, pdev } = adapter;
  const firmware = `${adapter.bar2.read32(ADM_VERSION)}`;
  const atrSampleRate = driverinitParam('atr_sample_rate', false, U32_MAX, adapter.atrSampleRate);
  const fdirPballoc = rangedParam('fdir_pballoc', adapter.fdir.pballoc, 1, PBALLOC_MAX);
  const devlink = new Devlink('pci', pdev.busInfo, {
    info: () => ({
      driver: DRIVER_NAME,
      fixed: [],
      running: [['fw.adminq', firmware]],
      stored: [],
    }),
    reloadDown(extack) {
      const filters = fdirCapacity(Number(fdirPballoc.get()));
      if (adapter.fdir.count <= filters) return 0;
      extack.message = `${DRIVER_NAME}: ${adapter.fdir.count} filters do not fit into ${filters}`;
      extack.reason = 'fdir-pballoc';
      return -ENOSPC;
    },
    reloadUp() {
      adapter.atrSampleRate = Number(atrSampleRate.get());
      adapter.fdir.pballoc = Number(fdirPballoc.get());
      devlink.resources = resourcesOf(adapter);
      return reinit(dev);
    },
  });
  devlink.ports = [{ dev, index: adapter.portIndex, portNumber: adapter.portIndex + 1 }];
  devlink.params = [atrSampleRate, fdirPballoc];
  devlink.resources = resourcesOf(adapter);
  kernel.devlinks.register(devlink);
}

export function unregisterTwinDevlink(dev: NetDevice): void {
  const { devlinks } = adapterOf(dev).kernel;
  const found = devlinks.portOf(dev);
  if (found !== null) devlinks.unregister(found.devlink);
}

/** A number between two others. */
function rangedParam(name: string, initial: number, min: number, max: number): DevlinkParam {
  const param = driverinitParam(name, false, U32_MAX, initial);
  return {
    ...param,
    set(value, extack) {
      const number = Number(value);
      if (number >= min && number <= max) return param.set(value, extack);
      extack.message = `${DRIVER_NAME}: ${name} is ${min} to ${max}`;
      extack.reason = 'param-range';
      return -EINVAL;
    },
  };
}

/** The card's exact-match table, which its functions share, and Flow Director's filters: nobody can change their sizes here. */
function resourcesOf({ bar2, flows, fdir }: TwinAdapter): DevlinkResource[] {
  const flowEntries = bar2.read32(ADM_CAP_FLOW_ENTRIES);
  return [
    fixedTable('flow_table', flowEntries, () => flows.inHardwareCount),
    fixedTable('flow_director', fdir.capacity, () => fdir.count),
  ];
}

function fixedTable(name: string, size: number, occupied: () => number): DevlinkResource {
  const limits = { sizeMin: size, sizeMax: size, granularity: 1 };
  return { name, size, sizeNew: size, ...limits, occupied, children: [] };
}
