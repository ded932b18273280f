// `ip link` of iproute2 6.1: show, set, add (VLAN devices) and delete.
//
// Kinds other than vlan are refused as by a kernel without them. Settings that the model does not have (master, alias, vf, ...)
// answer EOPNOTSUPP.

import type { NetDevice } from '../../../driver/netdev.ts';
import { IFF_ALLMULTI, IFF_MULTICAST, IFF_PROMISC } from '../../../driver/netdev.ts';
import { OK, refuse } from '../../stack/answer.ts';
import type { Answer } from '../../stack/answer.ts';
import { parseMac } from '../../stack/ip/address.ts';
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
  setFlags: number;
  clearFlags: number;
  unsupported: boolean;
}

const FLAG_WORDS: Readonly<Record<string, number>> = {
  promisc: IFF_PROMISC,
  allmulticast: IFF_ALLMULTI,
  multicast: IFF_MULTICAST,
};
const UNSUPPORTED = [
  'master',
  'alias',
  'group',
  'netns',
  'vf',
  'type',
  'vrf',
  'xdp',
  'arp',
  'mode',
];

function set(words: Words, stack: NetStack): CommandResult {
  const change: LinkChange = {
    up: null,
    mtuBytes: -1,
    mac: null,
    name: '',
    txqueuelen: -1,
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
    else if (word === 'name') change.name = words.next();
    else if (word === 'txqueuelen' || word === 'qlen' || word === 'txqlen')
      change.txqueuelen = numberOf(words.next(), 'Invalid "txqueuelen" value\n');
    else if (word in FLAG_WORDS) {
      if (onOff(words.next(), word)) change.setFlags |= FLAG_WORDS[word];
      else change.clearFlags |= FLAG_WORDS[word];
    } else if (word === 'nomaster') continue;
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

/** In do_setlink's order: address, MTU, name, queue length, flags. */
function apply(stack: NetStack, dev: NetDevice, change: LinkChange): Answer {
  const { links } = stack;
  if (change.unsupported) return refuse(95, '', 'link-setting');
  let answer: Answer = OK;
  if (change.mac !== null) answer = links.setAddress(dev, change.mac);
  if (answer.error === 0 && change.mtuBytes >= 0) answer = links.setMtu(dev, change.mtuBytes);
  if (answer.error === 0 && change.name !== '') answer = links.rename(dev, change.name);
  if (answer.error !== 0) return answer;
  if (change.txqueuelen >= 0) {
    const error = stack.kernel.dev_change_tx_queue_len(dev, change.txqueuelen);
    if (error !== 0) return { error, message: '', reason: 'txqueuelen' };
  }
  if (change.setFlags !== 0 || change.clearFlags !== 0)
    stack.kernel.dev_change_rx_flags(dev, change.setFlags, change.clearFlags);
  if (change.up === true) return links.up(dev);
  return change.up === false ? links.down(dev) : OK;
}

function macOf(word: string): Uint8Array {
  const mac = parseMac(word);
  if (mac === null) throw new IpError(255, `"${word}" is invalid lladdr.`);
  return mac;
}

function onOff(word: string, key: string): boolean {
  if (word !== 'on' && word !== 'off')
    throw new IpError(1, `Error: argument of "${key}" must be one of "on" or "off", not "${word}"`);
  return word === 'on';
}

// ---- add, delete ----

function add(words: Words, stack: NetStack): CommandResult {
  let lower = '';
  let name = '';
  let mac: Uint8Array | null = null;
  let mtuBytes = -1;
  let kind = '';
  while (!words.isEmpty && kind === '') {
    const word = words.next();
    if (word === 'link') lower = words.next();
    else if (word === 'address') mac = macOf(words.next());
    else if (word === 'mtu') mtuBytes = numberOf(words.next(), 'Invalid "mtu" value\n');
    else if (word === 'type') kind = words.next();
    else if (word === 'name' || word === 'dev') name = words.next();
    else if (name === '') name = word;
    else throw garbage('dev', word);
  }
  if (kind === '') return failed(255, 'Not enough information: "type" argument is required\n');
  const id = kind === 'vlan' ? vlanOptions(words) : -1;
  const below = lower === '' ? null : deviceOf(stack, lower);
  if (name !== '' && stack.links.byName(name) !== null) return answered(refuse(17));
  if (kind === 'tun')
    return answered(refuse(95, 'tun/tap creation via rtnetlink is not supported.', 'link-kind'));
  if (kind !== 'vlan') return answered(refuse(95, 'Unknown device type', 'link-kind'));
  if (below === null) return answered(refuse(22, '8021q: link not specified', 'vlan-link'));
  if (id < 0) return answered(refuse(22, '8021q: VLAN properties not specified', 'vlan-id'));
  const chosen = name === '' ? `${below.name}.${id}` : name;
  const answer = stack.links.addVlan(below, chosen, id, mac);
  if (answer.error !== 0 || mtuBytes < 0) return answered(answer);
  return answered(stack.links.setMtu(deviceOf(stack, chosen), mtuBytes));
}

function vlanOptions(words: Words): number {
  let id = -1;
  while (!words.isEmpty) {
    const word = words.next();
    if (word === 'id') {
      const text = words.next();
      id = /^\d+$/.test(text) && Number(text) < 65536 ? Number(text) : -1;
      if (id < 0) throw wrongArgument(text, 'id is invalid');
    } else if (word === 'protocol' || word === 'proto') {
      const protocol = words.next();
      if (protocol.toLowerCase() !== '802.1q')
        throw new IpError(2, 'RTNETLINK answers: Protocol not supported');
    } else throw new IpError(255, `vlan: unknown command "${word}"?`);
  }
  return id;
}

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
