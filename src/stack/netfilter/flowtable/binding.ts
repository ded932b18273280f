// Binding flowtables to drivers (spec B.6.1): at creation each device is asked by `ndo_setup_tc(TC_SETUP_FT, BIND)`; a refusal
// unwinds what was bound and is the user's errno. Unbinding (device or flowtable removed) asks with UNBIND.
//
// A transaction binds before it commits, so bindings wait here until the commit takes them over or an abort undoes them. A
// driver with only `ndo_flow_offload` binds nothing: such a flowtable uses that hook. The order is the kernel's: last named
// device first, and a later binding's callbacks go before the earlier ones'.

import { EOPNOTSUPP } from '../../../../driver/errno.ts';
import {
  FLOW_BLOCK_BIND,
  FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
  FLOW_BLOCK_UNBIND,
  TC_SETUP_FT,
} from '../../../../driver/flow-block.ts';
import type { FlowBlock, FlowBlockOffload } from '../../../../driver/flow-block.ts';
import type { NetDevice } from '../../../../driver/netdev.ts';
import type { FormName } from './offload-form.ts';

/** What a flowtable of a transaction has been bound to. */
export interface Binding {
  readonly form: FormName;
  readonly block: FlowBlock;
  readonly devices: NetDevice[];
}

/** The form that devices agree on: the old hook where some device has only that, or where `rfc` asks for it. */
function formOf(devices: readonly NetDevice[], rfc: boolean): FormName {
  if (rfc) return 'rfc';
  const old = (dev: NetDevice): boolean =>
    dev.ops.ndo_setup_tc === undefined && dev.ops.ndo_flow_offload !== undefined;
  return devices.some(old) ? 'hook' : 'block';
}

/** A binding without devices, for bindDevices. `rfc`: the flowtable is to use the hook of 2017. */
export function newBinding(devices: readonly NetDevice[], rfc: boolean): Binding {
  return { form: formOf(devices, rfc), block: { callbacks: [] }, devices: [] };
}

/** Binds devices, all or none; 0 or a positive errno. */
export function bindDevices(binding: Binding, devices: readonly NetDevice[]): number {
  const bound: NetDevice[] = [];
  for (const dev of [...devices].reverse()) {
    const error = bindOne(binding, dev);
    if (error === 0) {
      bound.push(dev);
      continue;
    }
    unbindDevices(binding, bound);
    return -error;
  }
  return 0;
}

function bindOne(binding: Binding, dev: NetDevice): number {
  if (binding.form !== 'block') {
    if (dev.ops.ndo_flow_offload === undefined) return -EOPNOTSUPP;
    binding.devices.push(dev);
    return 0;
  }
  if (dev.ops.ndo_setup_tc === undefined) return -EOPNOTSUPP;
  const offload = request(binding.block, FLOW_BLOCK_BIND);
  const error = dev.ops.ndo_setup_tc(dev, TC_SETUP_FT, offload);
  if (error !== 0) return error;
  binding.block.callbacks.unshift(...offload.cbList);
  binding.devices.push(dev);
  return 0;
}

/** Unbinds devices of a binding. */
export function unbindDevices(binding: Binding, devices: readonly NetDevice[]): void {
  for (const dev of devices) {
    const at = binding.devices.indexOf(dev);
    if (at < 0) continue;
    binding.devices.splice(at, 1);
    if (binding.form !== 'block') continue;
    dev.ops.ndo_setup_tc?.(dev, TC_SETUP_FT, request(binding.block, FLOW_BLOCK_UNBIND));
    // A driver that forgot to take its callback out must not be called any more.
    const { callbacks } = binding.block;
    for (let i = callbacks.length - 1; i >= 0; i--)
      if (callbacks[i].dev === dev) callbacks.splice(i, 1);
  }
}

function request(block: FlowBlock, command: FlowBlockOffload['command']): FlowBlockOffload {
  return {
    command,
    binderType: FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS,
    blockShared: false,
    block,
    cbList: [],
    extack: { message: '', reason: '' },
  };
}
