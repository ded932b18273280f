// bridge(8) of iproute2 6.1: `fdb show|add|append|replace|del`, `link show`, `vlan show|add|del`, as text and with -j as far as the
// model has it. Whatever is refused, by the tool or by the kernel, ends it with status 255 (fixtures/recordings/bridge). As the real
// one, `show` passes over words that it does not know.
//
// A device's own filter (`self` lines) is not kept: only `master` entries. Left out: mdb, monitor, link set, vni, statistics.

import { PORT_COST, PORT_PRIORITY, portState } from '../../../stack/bridge/bridge-link.ts';
import type { BridgePort } from '../../../stack/bridge/bridge.ts';
import type { NetStack } from '../../../stack/net-stack.ts';
import { failed, ok } from '../command.ts';
import type { CommandContext, CommandResult, ShellCommand } from '../command.ts';
import { IpError, Words, abbreviates, deviceOf, jsonText } from '../ip-common.ts';
import { flagNames, linkOf, shownName } from '../ip-link-show.ts';
import { changeFdb, showFdb } from './fdb.ts';
import { changeVlans, showVlans } from './vlan.ts';

const FAILED_STATUS = 255;

export const bridge: ShellCommand = {
  name: 'bridge',
  summary: 'bridges: fdb, link, vlan (iproute2)',
  run(args, ctx) {
    try {
      return run(new Words(args), ctx);
    } catch (error) {
      if (error instanceof IpError) return failed(FAILED_STATUS, `${error.message}\n`);
      throw error;
    }
  },
};

function run(words: Words, ctx: CommandContext): CommandResult {
  let json = false;
  while (words.peek.startsWith('-')) {
    const option = words.next();
    if (option === '-j' || option === '-json') json = true;
    else throw new IpError(FAILED_STATUS, `Option "${option}" is unknown, try "bridge help".`);
  }
  if (words.isEmpty) return failed(FAILED_STATUS, USAGE);
  const object = words.next();
  const verb = words.isEmpty ? 'show' : words.next();
  const isShow = abbreviates(verb, 'show') || abbreviates(verb, 'list') || verb === 'lst';
  const { stack } = ctx;
  if (abbreviates(object, 'fdb')) {
    if (isShow) return showFdb(words, stack, json);
    if (verb === 'add' || verb === 'append') return changeFdb(words, stack, verb);
    if (abbreviates(verb, 'replace')) return changeFdb(words, stack, 'replace');
    if (abbreviates(verb, 'delete')) return changeFdb(words, stack, 'delete');
  } else if (abbreviates(object, 'link')) {
    if (isShow) return showLinks(words, stack, json);
  } else if (abbreviates(object, 'vlan')) {
    if (isShow) return showVlans(words, stack, json);
    if (verb === 'add') return changeVlans(words, stack, true);
    if (abbreviates(verb, 'delete')) return changeVlans(words, stack, false);
  } else throw new IpError(FAILED_STATUS, `Object "${object}" is unknown, try "bridge help".`);
  throw new IpError(FAILED_STATUS, `Command "${verb}" is unknown, try "bridge ${object} help".`);
}

const USAGE = 'Usage: bridge [ -j[son] ] { fdb | link | vlan } { show | add | del } ...\n';

/** `bridge link show [dev DEV]`. */
function showLinks(words: Words, stack: NetStack, json: boolean): CommandResult {
  let only = '';
  while (!words.isEmpty) if (words.next() === 'dev') only = words.next();
  const devices = only === '' ? stack.links.all() : [deviceOf(stack, only)];
  const ports = devices.flatMap((dev) => stack.bridges.portOf(dev) ?? []);
  if (json) return ok(jsonText(ports.map((port) => linkJson(stack, port))));
  return ok(ports.map((port) => linkLine(stack, port)).join(''));
}

function linkLine(stack: NetStack, port: BridgePort): string {
  const { dev } = port;
  return (
    `${dev.ifindex}: ${shownName(stack, dev)}: <${flagNames(stack, dev).join(',')}> ` +
    `mtu ${dev.mtuBytes} master ${port.bridge.dev.name} state ${portState(port)} ` +
    `priority ${PORT_PRIORITY} cost ${PORT_COST} \n`
  );
}

function linkJson(stack: NetStack, port: BridgePort): Record<string, unknown> {
  const { dev } = port;
  const below = linkOf(stack, dev);
  return {
    ifindex: dev.ifindex,
    ...(below !== null && below.net === dev.net ? { link: below.name } : {}),
    ifname: dev.name,
    flags: flagNames(stack, dev),
    mtu: dev.mtuBytes,
    master: port.bridge.dev.name,
    state: portState(port),
    priority: PORT_PRIORITY,
    cost: PORT_COST,
  };
}
