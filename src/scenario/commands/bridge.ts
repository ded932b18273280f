// bridge(8) of iproute2 6.1: `fdb show|add|append|del`, `link show`, `vlan show|add|del`, as text and with -j as far as the model has it.
//
// A device's own filter (`self` lines) is not kept: only `master` entries. Left out: mdb, monitor, link set, vni, statistics.

import type { NetDevice } from '../../../driver/netdev.ts';
import { PORT_COST, macText, portState } from '../../stack/bridge/bridge-link.ts';
import type { Bridge, BridgePort } from '../../stack/bridge/bridge.ts';
import { macNumber } from '../../stack/bridge/fdb.ts';
import type { FdbEntry } from '../../stack/bridge/fdb.ts';
import type { VlanGroup } from '../../stack/bridge/vlan-group.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult, ShellCommand } from './command.ts';
import { IpError, Words, abbreviates, deviceOf, jsonText } from './ip-common.ts';
import { macOf } from './ip-link-add.ts';
import { flagNames, shownName } from './ip-link-show.ts';

export const bridge: ShellCommand = {
  name: 'bridge',
  summary: 'bridges: fdb, link, vlan (iproute2)',
  run(args, ctx) {
    try {
      return run(new Words(args), ctx);
    } catch (error) {
      if (error instanceof IpError) return failed(error.status, `${error.message}\n`);
      throw error;
    }
  },
};

function run(words: Words, ctx: CommandContext): CommandResult {
  let json = false;
  while (words.peek.startsWith('-')) {
    const option = words.next();
    if (option === '-j' || option === '-json') json = true;
    else throw new IpError(255, `Option "${option}" is unknown, try "bridge help".`);
  }
  const object = words.isEmpty ? '' : words.next();
  const verb = words.isEmpty ? 'show' : words.next();
  const isShow = abbreviates(verb, 'show') || abbreviates(verb, 'list') || verb === 'lst';
  const { stack } = ctx;
  if (object !== '' && abbreviates(object, 'fdb')) {
    if (isShow) return showFdb(words, stack, json);
    if (verb === 'add' || verb === 'append' || abbreviates(verb, 'replace'))
      return changeFdb(words, stack, true);
    if (abbreviates(verb, 'delete')) return changeFdb(words, stack, false);
  } else if (object !== '' && abbreviates(object, 'link')) {
    if (isShow) return showLinks(stack);
  } else if (object !== '' && abbreviates(object, 'vlan')) {
    if (isShow) return showVlans(stack, json);
    if (verb === 'add') return changeVlans(words, stack, true);
    if (abbreviates(verb, 'delete')) return changeVlans(words, stack, false);
  } else
    return failed(
      255,
      object === '' ? USAGE : `Object "${object}" is unknown, try "bridge help".\n`,
    );
  throw new IpError(255, `Command "${verb}" is unknown, try "bridge ${object} help".`);
}

const USAGE = 'Usage: bridge [ -j[son] ] { fdb | link | vlan } { show | add | del } ...\n';

// ---- fdb ----

function showFdb(words: Words, stack: NetStack, json: boolean): CommandResult {
  let only: Bridge | null = null;
  let dev: NetDevice | null = null;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'br' || word === 'brport' || word === 'dev') {
      const named = deviceOf(stack, words.next());
      if (word === 'br') only = stack.bridges.bridgeOf(named);
      else dev = named;
    } else throw new IpError(255, `Error: argument "${word}" is wrong: unknown filter`);
  }
  const rows = stack.bridges
    .list()
    .filter((one) => only === null || one === only)
    .flatMap((one) => one.fdb.list(stack.scheduler.nowPs).map((entry) => ({ bridge: one, entry })))
    .map(({ bridge: of, entry }) => ({ of, entry, on: entry.port?.dev ?? of.dev }))
    .filter(({ on }) => dev === null || on === dev);
  if (json) return ok(jsonText(rows.map(({ of, entry, on }) => fdbJson(of, entry, on))));
  return ok(
    rows
      .map(({ of, entry, on }) => {
        const where = dev === null ? ` dev ${on.name}` : '';
        const vlan = entry.vlanId > 0 ? ` vlan ${entry.vlanId}` : '';
        return `${macText(entry.mac)}${where}${vlan} master ${of.dev.name} ${stateOf(entry)}\n`;
      })
      .join(''),
  );
}

function stateOf(entry: FdbEntry): string {
  if (entry.isLocal) return 'permanent';
  return entry.isStatic ? 'static' : '';
}

function fdbJson(of: Bridge, entry: FdbEntry, on: NetDevice): Record<string, unknown> {
  return {
    mac: macText(entry.mac),
    ifname: on.name,
    ...(entry.vlanId > 0 ? { vlan: entry.vlanId } : {}),
    flags: [],
    master: of.dev.name,
    state: stateOf(entry),
  };
}

/** `bridge fdb add|del LLADDR dev DEV master [static|dynamic|local] [vlan ID]`. */
function changeFdb(words: Words, stack: NetStack, adds: boolean): CommandResult {
  let mac: Uint8Array | null = null;
  let port: BridgePort | null = null;
  let isStatic = true;
  let isLocal = false;
  let isMaster = false;
  let vlanId = 0;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'dev') port = stack.bridges.portOf(deviceOf(stack, words.next()));
    else if (word === 'vlan') vlanId = Number(words.next());
    else if (word === 'dynamic' || word === 'static' || word === 'temp')
      isStatic = word !== 'dynamic';
    else if (word === 'local' || word === 'permanent') isLocal = true;
    else if (word === 'master') isMaster = true;
    else if (word !== 'self') mac = macOf(word);
  }
  if (mac === null) throw new IpError(255, 'Device and address are required arguments.');
  // Without `master` the request is for the device's own filter.
  if (port === null || !isMaster) return failed(2, 'RTNETLINK answers: Operation not supported\n');
  const { fdb } = port.bridge;
  const { nowPs } = stack.scheduler;
  const number = macNumber(mac, 0);
  if (adds) {
    fdb.set({ mac: number, vlanId, port, isLocal, isStatic, updatedPs: nowPs });
    return ok();
  }
  const entry = fdb.find(number, vlanId, nowPs);
  if (entry === null) return failed(2, 'RTNETLINK answers: No such file or directory\n');
  fdb.delete(entry);
  return ok();
}

// ---- link ----

function showLinks(stack: NetStack): CommandResult {
  const ports = stack.links.all().flatMap((dev) => stack.bridges.portOf(dev) ?? []);
  return ok(
    ports
      .map(
        (port) =>
          `${port.dev.ifindex}: ${shownName(stack, port.dev)}: <${flagNames(stack, port.dev).join(',')}> ` +
          `mtu ${port.dev.mtuBytes} master ${port.bridge.dev.name} state ${portState(port)} ` +
          `priority 32 cost ${PORT_COST} \n`,
      )
      .join(''),
  );
}

// ---- vlan ----

function groupsOf(stack: NetStack): { name: string; group: VlanGroup }[] {
  const bridges = stack.bridges.list();
  return [
    ...bridges.flatMap((one) => one.ports.map((p) => ({ name: p.dev.name, group: p.vlans }))),
    ...bridges.map((one) => ({ name: one.dev.name, group: one.vlans })),
  ].filter(({ group }) => group.list().length > 0);
}

function showVlans(stack: NetStack, json: boolean): CommandResult {
  const flags = (group: VlanGroup, id: number): string[] => [
    ...(group.pvid === id ? ['PVID'] : []),
    ...(group.isUntagged(id) ? ['Egress Untagged'] : []),
  ];
  const groups = groupsOf(stack);
  if (json)
    return ok(
      jsonText(
        groups.map(({ name, group }) => ({
          ifname: name,
          vlans: group.list().map((id) => {
            const words = flags(group, id);
            return words.length === 0 ? { vlan: id } : { vlan: id, flags: words };
          }),
        })),
      ),
    );
  const lines = groups.flatMap(({ name, group }) =>
    group.list().map((id, i) => {
      const words = flags(group, id).map((word) => ` ${word}`);
      return `${(i === 0 ? name : '').padEnd(17)} ${id}${words.join('')}\n`;
    }),
  );
  return ok(`${'port'.padEnd(17)} vlan-id  \n${lines.join('')}`);
}

/** `bridge vlan add|del vid N[-M] dev DEV [pvid] [untagged] [self]`. */
function changeVlans(words: Words, stack: NetStack, adds: boolean): CommandResult {
  let range: number[] = [];
  let dev: NetDevice | null = null;
  let isPvid = false;
  let isUntagged = false;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'vid') range = words.next().split('-').map(Number);
    else if (word === 'dev') dev = deviceOf(stack, words.next());
    else if (word === 'pvid') isPvid = true;
    else if (word === 'untagged') isUntagged = true;
  }
  const [first, last = first] = range;
  if (dev === null || first === undefined)
    throw new IpError(255, 'Device and VLAN ID are required arguments.');
  if (!(first >= 1 && last < 4095 && first <= last))
    throw new IpError(255, `Invalid VLAN ID "${range.join('-')}"`);
  if (isPvid && range.length > 1)
    throw new IpError(255, 'pvid cannot be configured for a vlan range');
  const group = stack.bridges.portOf(dev)?.vlans ?? stack.bridges.bridgeOf(dev)?.vlans;
  if (group === undefined) return failed(2, 'RTNETLINK answers: Operation not supported\n');
  for (let id = first; id <= last; id++)
    if (adds) group.add(id, isPvid, isUntagged);
    else if (!group.remove(id)) return failed(2, 'RTNETLINK answers: No such file or directory\n');
  (stack.bridges.portOf(dev)?.bridge ?? stack.bridges.bridgeOf(dev))?.follow();
  return ok();
}
