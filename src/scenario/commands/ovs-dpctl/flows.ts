// ovs-dpctl: flows: add-flow, mod-flow, get-flow, del-flow, del-flows, dump-flows.

import { EEXIST, EINVAL, strerror } from '../../../../driver/errno.ts';
import type { Datapath } from '../../../stack/openvswitch/datapath.ts';
import { formatOdpActions } from '../../../stack/openvswitch/odp-actions-format.ts';
import { parseOdpActions } from '../../../stack/openvswitch/odp-actions-parse.ts';
import { formatFlow } from '../../../stack/openvswitch/odp-flow.ts';
import { formatOdpKey, NO_PORT_NAMES, parseOdpKey } from '../../../stack/openvswitch/odp-key.ts';
import type { OdpStyle } from '../../../stack/openvswitch/odp-key.ts';
import { OdpError } from '../../../stack/openvswitch/odp-scan.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { DpctlError, logLine, named, namesOf, nowPs, only } from './common.ts';
import type { Call } from './common.ts';

interface FlowArguments {
  readonly datapath: Datapath;
  readonly key: Uint8Array;
  readonly mask: Uint8Array;
  readonly actions: Uint8Array;
}

/** `[DP] FLOW [ACTIONS]`: without DP the only one there is. */
function flowArguments({ datapaths, args }: Call, withActions: boolean): FlowArguments {
  const count = withActions ? 2 : 1;
  const datapath = args.length > count ? named(datapaths, args[0]) : only(datapaths);
  const texts = args.slice(-count);
  const names = namesOf(datapath);
  const { key, mask } = parsed('parsing flow key', true, () => parseOdpKey(texts[0], names));
  const none = new Uint8Array(0);
  const actions = withActions
    ? parsed('parsing actions', false, () => parseOdpActions(texts[1], names))
    : none;
  return { datapath, key, mask, actions };
}

/** What `parse` gives; what it does not understand is EINVAL, in the tool's words with or without the place. */
function parsed<T>(what: string, withPlace: boolean, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    const place = withPlace ? ` (${error.message})` : '';
    throw new DpctlError(`${what}${place} (${strerror(EINVAL)})`);
  }
}

export function addFlow(call: Call): CommandResult {
  const { datapath, key, mask, actions } = flowArguments(call, true);
  const exclusive = !call.options.has('may-create');
  const error = datapath.flowNew(key, mask, actions, exclusive);
  return error === 0 ? ok() : flowFailed(call, 'put[create]', datapath, key, mask, actions, error);
}

export function modFlow(call: Call): CommandResult {
  const { datapath, key, mask, actions } = flowArguments(call, true);
  const clears = call.options.has('clear');
  const error = call.options.has('may-create')
    ? datapath.flowNew(key, mask, actions, false)
    : datapath.flowSet(key, mask, actions, clears);
  return error === 0 ? ok() : flowFailed(call, 'put[modify]', datapath, key, mask, actions, error);
}

function flowFailed(
  call: Call,
  what: string,
  datapath: Datapath,
  key: Uint8Array,
  mask: Uint8Array,
  actions: Uint8Array,
  error: number,
): CommandResult {
  const style: OdpStyle = { verbose: true, names: NO_PORT_NAMES };
  const flow = `${formatOdpKey(key, mask, style)}, actions:${formatOdpActions(actions, style)}`;
  const text = strerror(-error);
  // EEXIST is no surprise to the library: it is not logged as a warning.
  const level = error === -EEXIST ? 'DBG' : 'WARN';
  const log = `dpif|${level}|system@${datapath.name}: failed to ${what} (${text}) ${flow}`;
  const logged = error === -EEXIST ? '' : logLine(call, 1, log);
  return failed(1, `${logged}ovs-dpctl: updating flow table (${text})\n`);
}

export function getFlow(call: Call): CommandResult {
  const { datapath, key } = flowArguments(call, false);
  const flow = datapath.flowGet(key);
  if (typeof flow === 'number') throw new DpctlError(`getting flow (${strerror(-flow)})`);
  return ok(`${formatFlow(flow, nowPs(call), styleOf(call, datapath))}\n`);
}

export function delFlow(call: Call): CommandResult {
  const { datapath, key } = flowArguments(call, false);
  const flow = datapath.flowDel(key);
  if (typeof flow === 'number')
    throw new DpctlError(flow === 0 ? 'no key' : `deleting flow (${strerror(-flow)})`);
  return ok();
}

export function delFlows({ datapaths, args }: Call): CommandResult {
  const datapath = args.length > 0 ? named(datapaths, args[0]) : only(datapaths);
  datapath.flowDel(null);
  return ok();
}

export function dumpFlows(call: Call): CommandResult {
  const { datapaths, args } = call;
  const datapath = args.length > 0 ? named(datapaths, args[0]) : only(datapaths);
  const style = styleOf(call, datapath);
  const lines = datapath.table.flows().map((flow) => formatFlow(flow, nowPs(call), style));
  return ok(lines.map((line) => `${line}\n`).join(''));
}

function styleOf({ options }: Call, datapath: Datapath): OdpStyle {
  const verbose = options.has('more');
  const isNamed = options.has('names') || (verbose && !options.has('no-names'));
  return { verbose, names: isNamed ? namesOf(datapath) : NO_PORT_NAMES };
}
