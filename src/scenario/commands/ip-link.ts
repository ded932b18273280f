// `ip link` of iproute2 6.1: show, set and delete (add: ip-link-add.ts).
//
// Settings that the model does not have (alias, group, vf, ...) answer EOPNOTSUPP.

import { EOPNOTSUPP } from '../../../driver/errno.ts';
import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_ALLMULTI, IFF_MULTICAST, IFF_PROMISC } from '../../../driver/netdev.ts';
import { OK, refuse } from '../../stack/answer.ts';
import type { Answer } from '../../stack/answer.ts';
import { Namespaces } from '../../stack/namespaces.ts';
import type { NetStack } from '../../stack/net-stack.ts';
import { failed, ok } from './command.ts';
import type { CommandContext, CommandResult } from './command.ts';
import {
  IpError,
  abbreviates,
  answered,
  deviceOf,
  garbage,
  jsonText,
  numberOf,
  wrongArgument,
} from './ip-common.ts';
import { add, bridgeOptions, macOf, netnsOf, setBridge } from './ip-link-add.ts';
import { briefLine, linkJson, linkText } from './ip-link-show.ts';
import type { Words, IpOptions } from './ip-common.ts';

/** `ip link VERB ...`. */
export function link(words: Words, ctx: CommandContext, options: IpOptions): CommandResult {
  if (words.isEmpty) return show(words, ctx.stack, options);
  const verb = words.next();
  if (abbreviates(verb, 'add')) return add(words, ctx.stack);
  if (abbreviates(verb, 'set') || abbreviates(verb, 'change')) return set(words, ctx.stack);
  if (abbreviates(verb, 'show') || abbreviates(verb, 'lst') || abbreviates(verb, 'list'))
    return show(words, ctx.stack, options);
  if (abbreviates(verb, 'delete')) return remove(words, ctx.stack);
  throw new IpError(255, `Command "${verb}" is unknown, try "ip link help".`);
}

// ---- set ----

interface LinkChange {
  up: boolean | null;
  mtuBytes: number;
  mac: Uint8Array | null;
  name: string;
  txqueuelen: number;
  /** Bridge to join: its device, null to leave, undefined to stay as it is. */
  master: string | null | undefined;
  /** Options of a bridge (`type bridge ...`). */
  bridge: Map<string, number> | null;
  /** Namespace to go to, null to stay. */
  to: NetStack | null;
  setFlags: number;
  clearFlags: number;
  unsupported: boolean;
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  promisc: IFF_PROMISC,
  allmulticast: IFF_ALLMULTI,
  multicast: IFF_MULTICAST,
};
const UNSUPPORTED = ['alias', 'group', 'vf', 'type', 'vrf', 'xdp', 'arp', 'mode'];

function set(words: Words, stack: NetStack): CommandResult {
  const change: LinkChange = {
    up: null,
    mtuBytes: -1,
    mac: null,
    name: '',
    txqueuelen: -1,
    master: undefined,
    bridge: null,
    to: null,
    setFlags: 0,
    clearFlags: 0,
    unsupported: false,
  };
  let device = '';
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'up') change.up = true;
    else if (word === 'down') change.up = false;
    else if (word === 'mtu') change.mtuBytes = numberOf(words.next(), 'Invalid "mtu" value\n');
    else if (word === 'address' || word === 'lladdr') change.mac = macOf(words.next());
    else if (word === 'netns') change.to = netnsOf(stack, words.next());
    else if (word === 'name') change.name = words.next();
    else if (word === 'txqueuelen' || word === 'qlen' || word === 'txqlen')
      change.txqueuelen = numberOf(words.next(), 'Invalid "txqueuelen" value\n');
    else if (word in FLAG_WORDS) {
      if (onOff(words.next(), word)) change.setFlags |= FLAG_WORDS[word];
      else change.clearFlags |= FLAG_WORDS[word];
    } else if (word === 'nomaster') change.master = null;
    else if (word === 'master') change.master = masterOf(stack, words.next());
    else if (word === 'type' && words.takes('bridge')) change.bridge = bridgeOptions(words);
    else if (UNSUPPORTED.includes(word)) {
      change.unsupported = true;
      words.next();
    } else {
      const name = word === 'dev' ? words.next() : word;
      if (device !== '') throw garbage('dev', name);
      device = name;
    }
  }
  if (device === '') return failed(255, 'Not enough of information: "dev" argument is required.\n');
  return answered(apply(stack, deviceOf(stack, device), change));
}

/** In do_setlink's order: namespace (the rest then happens there), address, MTU, name, queue length, flags, bridge. */
function apply(here: NetStack, dev: NetDevice, change: LinkChange): Answer {
  if (change.unsupported) return refuse(EOPNOTSUPP, '', 'link-setting');
  const stack = change.to ?? here;
  const { links } = stack;
  let answer: Answer = change.to === null ? OK : Namespaces.of(here).move(dev, change.to);
  if (answer.error !== 0) return answer;
  if (change.mac !== null) answer = links.setAddress(dev, change.mac);
  if (answer.error === 0 && change.mtuBytes >= 0) answer = links.setMtu(dev, change.mtuBytes);
  if (answer.error === 0 && change.name !== '') answer = links.rename(dev, change.name);
  if (answer.error !== 0) return answer;
  if (change.bridge !== null) {
    const bridge = stack.bridges.bridgeOf(dev);
    if (bridge === null) return refuse(EOPNOTSUPP, '', 'link-kind');
    setBridge(bridge, change.bridge);
  }
  if (change.txqueuelen >= 0) {
    const error = stack.kernel.dev_change_tx_queue_len(dev, change.txqueuelen);
    if (error !== 0) return { error, message: '', reason: 'txqueuelen' };
  }
  if (change.setFlags !== 0 || change.clearFlags !== 0)
    stack.kernel.dev_change_rx_flags(dev, change.setFlags, change.clearFlags);
  if (change.up !== null) answer = change.up ? links.up(dev) : links.down(dev);
  if (answer.error !== 0 || change.master === undefined) return answer;
  if (change.master === null) return stack.bridges.release(dev);
  return stack.bridges.enslave(dev, deviceOf(stack, change.master));
}

function masterOf(stack: NetStack, name: string): string {
  if (stack.links.byName(name) === null) throw wrongArgument(name, 'Device does not exist\n');
  return name;
}

function onOff(word: string, key: string): boolean {
  if (word !== 'on' && word !== 'off')
    throw new IpError(1, `Error: argument of "${key}" must be one of "on" or "off", not "${word}"`);
  return word === 'on';
}

// ---- delete ----

function remove(words: Words, stack: NetStack): CommandResult {
  let name = '';
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'type') {
      words.next();
      continue;
    }
    name = word === 'dev' || word === 'name' ? words.next() : word;
  }
  if (name === '') return failed(255, 'Not enough information: "dev" argument is required.\n');
  const dev = deviceOf(stack, name);
  for (const upper of stack.links.vlansOn(dev)) stack.links.remove(upper);
  return answered(stack.links.remove(dev));
}

// ---- show ----

function show(words: Words, stack: NetStack, options: IpOptions): CommandResult {
  let only: NetDevice | null = null;
  let upOnly = false;
  let kind = '';
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'up') upOnly = true;
    else if (word === 'type') kind = words.next();
    else {
      const name = word === 'dev' ? words.next() : word;
      only = stack.links.byName(name);
      if (only === null) return failed(1, `Device "${name}" does not exist.\n`);
    }
  }
  const devices = stack.links
    .all()
    .filter((d) => (only === null || d === only) && (!upOnly || d.isUp))
    .filter((d) => kind === '' || kind === kindOf(stack, d));
  if (options.json) return ok(jsonText(devices.map((d) => linkJson(stack, d, options, true))));
  if (options.brief) return ok(devices.map((d) => briefLine(stack, d)).join(''));
  return ok(devices.map((d) => linkText(stack, d, options, true)).join(''));
}

/** IFLA_INFO_KIND, '' for a driver's device. */
function kindOf(stack: NetStack, dev: NetDevice): string {
  return stack.links.kind(dev)?.kind ?? (stack.links.vlan(dev) === null ? '' : 'vlan');
}
