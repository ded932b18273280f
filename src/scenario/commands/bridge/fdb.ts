// `bridge fdb`: the forwarding databases of bridges, shown and changed by hand.

import type { NetDevice } from '../../../../driver/netdev.ts';
import { macText } from '../../../stack/bridge/bridge-link.ts';
import type { Bridge } from '../../../stack/bridge/bridge.ts';
import { addEntry, deleteEntry } from '../../../stack/bridge/fdb-admin.ts';
import type { FdbEntry } from '../../../stack/bridge/fdb.ts';
import { parseMac } from '../../../stack/ip/address.ts';
import type { NetStack } from '../../../stack/net-stack.ts';
import { failed, ok } from '../command.ts';
import type { CommandResult } from '../command.ts';
import { IpError, deviceOf, garbage, jsonText, refusal } from '../ip-common.ts';
import type { Words } from '../ip-common.ts';

interface Row {
  bridge: Bridge;
  entry: FdbEntry;
  /** The port's device, or the bridge's own. */
  on: NetDevice;
}

/** `bridge fdb show [br BRIDGE] [brport DEV] [dev DEV]`. */
export function showFdb(words: Words, stack: NetStack, json: boolean): CommandResult {
  let only: NetDevice | null = null;
  let dev: NetDevice | null = null;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'br') only = deviceOf(stack, words.next());
    else if (word === 'brport' || word === 'dev') dev = deviceOf(stack, words.next());
  }
  const rows = stack.bridges
    .list()
    .filter((bridge) => only === null || bridge.dev === only)
    .flatMap((bridge) =>
      bridge.fdb
        .list(stack.scheduler.nowPs)
        .map((entry): Row => ({ bridge, entry, on: entry.port?.dev ?? bridge.dev })),
    )
    .filter(({ on }) => dev === null || on === dev);
  if (json) return ok(jsonText(rows.map(rowJson)));
  return ok(rows.map((row) => rowLine(row, dev === null)).join(''));
}

function rowLine({ bridge, entry, on }: Row, namesDevice: boolean): string {
  const where = namesDevice ? ` dev ${on.name}` : '';
  const vlan = entry.vlanId > 0 ? ` vlan ${entry.vlanId}` : '';
  return `${macText(entry.mac)}${where}${vlan} master ${bridge.dev.name} ${stateOf(entry)}\n`;
}

function rowJson({ bridge, entry, on }: Row): Record<string, unknown> {
  return {
    mac: macText(entry.mac),
    ifname: on.name,
    ...(entry.vlanId > 0 ? { vlan: entry.vlanId } : {}),
    flags: [],
    master: bridge.dev.name,
    state: stateOf(entry),
  };
}

function stateOf(entry: FdbEntry): string {
  if (entry.isLocal) return 'permanent';
  return entry.isStatic ? 'static' : '';
}

/** `bridge fdb add|append|replace|del LLADDR dev DEV master [local|static|dynamic] [vlan ID]`. */
export function changeFdb(
  words: Words,
  stack: NetStack,
  verb: 'add' | 'append' | 'replace' | 'delete',
): CommandResult {
  let address = '';
  let device = '';
  let state: 'local' | 'static' | 'dynamic' = 'local';
  let isMaster = false;
  let vlanId = -1;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dev') device = words.next();
    else if (word === 'vlan') vlanId = atoi(words.next());
    else if (word === 'dynamic') state = 'dynamic';
    else if (word === 'static' || word === 'temp') state = 'static';
    else if (word === 'local' || word === 'permanent') state = 'local';
    else if (word === 'master') isMaster = true;
    else if (word === 'self') continue;
    else if (address !== '') throw garbage('to', word);
    else address = word;
  }
  if (address === '' || device === '')
    throw new IpError(255, 'Device and address are required arguments.');
  const mac = parseMac(address);
  if (mac === null) throw new IpError(255, `Invalid mac address ${address}`);
  const port = stack.bridges.portOf(deviceOf(stack, device));
  // Without `master` the request is for the device's own filter.
  if (port === null || !isMaster)
    return failed(255, 'RTNETLINK answers: Operation not supported\n');
  const { nowPs } = stack.scheduler;
  const answer =
    verb === 'delete'
      ? deleteEntry(port, mac, vlanId, nowPs)
      : addEntry(port, { mac, vlanId, state, exclusive: verb === 'add' }, nowPs);
  return answer.error === 0 ? ok() : failed(255, refusal(answer));
}

/** atoi(3), with which the tool reads a VLAN: what is no number is 0, which the kernel refuses. */
function atoi(text: string): number {
  return Number(/^\s*[0-9]+/.exec(text)?.[0] ?? 0);
}
